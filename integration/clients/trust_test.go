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
)

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
