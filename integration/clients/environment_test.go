package clients

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"squidfleet/internal/must"
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
	var chrome string
	for _, name := range []string{"chromium-browser", "chromium", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			chrome = found
		}
	}
	if chrome == "" {
		t.Fatal("no Chromium: scripts/setup.sh chromium")
	}
	path = filepath.Join(t.TempDir(), "chromium")
	text := "#!/bin/sh\nexec " + chrome + " --no-sandbox \"$@\"\n"
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
