package clients

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"squidfleet/internal/must"
	"squidfleet/internal/rig"
)

// environment is what all clients get: the tools, and the CA for those that do not ask the system.
func environment(t *testing.T) []string {
	t.Helper()
	root, err := filepath.Abs("../..")
	must.OK(t, err)
	caches, err := exec.Command("go", "env", "GOCACHE", "GOMODCACHE").Output()
	must.OK(t, err)
	cache, modules, _ := strings.Cut(strings.TrimSpace(string(caches)), "\n")
	return []string{
		// Debian's programs, but the Node.js that is pinned.
		"PATH=" + root + "/node_modules/.bin:/usr/bin:/bin:/usr/sbin:/sbin:" + os.Getenv("PATH"),
		"LANG=C.UTF-8", "PYTHONDONTWRITEBYTECODE=1", "GOCACHE=" + cache, "GOMODCACHE=" + modules,
		"CHROMIUM=" + chromium(t), "NODE_EXTRA_CA_CERTS=" + bundle,
		"JAVA_TOOL_OPTIONS=-Djavax.net.ssl.trustStore=" + keystore,
	}
}

// chromium is a program that starts one, without the sandbox that root cannot have.
func chromium(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "chromium")
	text := "#!/bin/sh\nexec " + rig.Chromium(t) + " --no-sandbox \"$@\"\n"
	must.OK(t, os.WriteFile(path, []byte(text), 0o755))
	return path
}

// home makes a home directory for one run and returns the variables that name it. It begins as a
// copy of another one, and has a configuration of apt's for the destination.
func (to destination) home(t *testing.T, like string) []string {
	t.Helper()
	home, err := os.MkdirTemp("", "home-") // t.TempDir is too long for the path of Chromium's socket
	must.OK(t, err)
	t.Cleanup(func() { os.RemoveAll(home) })
	err = os.CopyFS(home, os.DirFS(like))
	for _, name := range []string{"state/lists/partial", "cache/archives/partial", "etc/sources.list.d"} {
		err = errors.Join(err, os.MkdirAll(filepath.Join(home, "apt", name), 0o755))
	}
	source := fmt.Sprintf("deb [trusted=yes] %s://%s/ ./\n", to.scheme, to.host)
	settings := filepath.Join(home, "apt/apt.conf")
	text := fmt.Sprintf("Dir::State %q;\nDir::Cache %q;\nDir::Etc %q;\n", home+"/apt/state", home+"/apt/cache",
		home+"/apt/etc") + "APT::Sandbox::User \"root\";\nAcquire::Languages \"none\";\n"
	err = errors.Join(err, os.WriteFile(filepath.Join(home, "apt/etc/sources.list"), []byte(source), 0o644),
		os.WriteFile(settings, []byte(text), 0o644))
	must.OK(t, err)
	variables := []string{"HOME=" + home, "TMPDIR=" + home, "APT_CONFIG=" + settings}
	if to.scheme == "http" {
		variables = append(variables, "PIP_TRUSTED_HOST="+to.host)
	}
	return variables
}

// Where clients look for the CAs that they trust: those that ask the system, and Java.
const (
	systemRoots = "/etc/ssl/certs"
	bundle      = systemRoots + "/ca-certificates.crt"
	keystore    = systemRoots + "/java-cacerts"
)

// makeCertificate makes a CA and a server certificate of its for a name.
func makeCertificate(t *testing.T, name string) (ca []byte, server tls.Certificate) {
	t.Helper()
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	key, keyErr := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must.OK(t, errors.Join(err, keyErr))
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA of the origin"}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, SubjectKeyId: []byte{1}, // for Python 3.13
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	own := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "the origin"}, DNSNames: []string{name},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		NotBefore: authority.NotBefore, NotAfter: authority.NotAfter,
	}
	ca, err = x509.CreateCertificate(rand.Reader, authority, authority, caKey.Public(), caKey)
	der, ownErr := x509.CreateCertificate(rand.Reader, own, authority, key.Public(), caKey)
	must.OK(t, errors.Join(err, ownErr))
	return ca, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func readCertificate(t *testing.T, path string) (der []byte) {
	t.Helper()
	text, err := os.ReadFile(path)
	block, _ := pem.Decode(text)
	if err != nil || block == nil {
		t.Fatalf("%s: no certificate, %v", path, err)
	}
	return block.Bytes
}

// trust makes the CAs the only ones of this mount namespace, and returns a home directory whose
// browser knows them.
func trust(t *testing.T, authorities [][]byte) (home string) {
	t.Helper()
	roots, home := t.TempDir(), t.TempDir()
	browser := filepath.Join(home, ".pki/nssdb")
	err := errors.Join(os.Chmod(roots, 0o755), os.MkdirAll(browser, 0o755))
	must.OK(t, err)
	mount(t, roots, systemRoots)
	lines := []string{"certutil -N -d sql:" + browser + " --empty-password"}
	var all []byte
	for i, der := range authorities {
		name := fmt.Sprint("ca", i)
		text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
		must.OK(t, os.WriteFile(filepath.Join(roots, name+".pem"), text, 0o644))
		all = append(all, text...)
		lines = append(lines, "certutil -A -d sql:"+browser+" -n "+name+" -t C,, -i "+name+".pem",
			// A store in this format can be read without its password.
			"keytool -importcert -noprompt -storetype JKS -storepass changeit -keystore "+keystore+
				" -alias "+name+" -file "+name+".pem")
	}
	for _, line := range append(lines, "openssl rehash .") {
		words := strings.Fields(line)
		command := exec.Command(words[0], words[1:]...)
		command.Dir = systemRoots
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
	}
	must.OK(t, os.WriteFile(bundle, all, 0o644))
	return home
}

// mount shows a file or directory at another path until the test ends.
func mount(t *testing.T, what, where string) {
	t.Helper()
	if err := syscall.Mount(what, where, "", syscall.MS_BIND, ""); err != nil {
		t.Fatalf("mount %s at %s: %v", what, where, err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(where, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}
