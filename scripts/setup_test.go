// Package scripts holds the test of the project's shell script.
package scripts

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"squidfleet/internal/must"
)

// TestSetupInstallsWhatIsMissing runs the script on a machine that has only what the script is
// written in, whose apt-get knows no curl and wants services to be off while it installs.
func TestSetupInstallsWhatIsMissing(t *testing.T) {
	root := t.TempDir()
	bin, policy := filepath.Join(root, "bin"), filepath.Join(root, "usr/sbin/policy-rc.d")
	text, err := os.ReadFile("setup.sh")
	err = errors.Join(err, os.Mkdir(bin, 0o755), os.MkdirAll(filepath.Dir(policy), 0o755))
	for _, program := range []string{"sh", "dirname", "grep", "xargs", "tee", "chmod", "rm", "env", "id", "echo"} {
		path, pathErr := exec.LookPath(program)
		err = errors.Join(err, pathErr, os.Symlink(path, filepath.Join(bin, program)))
	}
	for name, text := range map[string]string{
		"setup.sh":       string(text),
		"bin/sudo":       "#!/bin/sh\nexec \"$@\"\n",
		"bin/shellcheck": "#!/bin/sh\n",
		"bin/apt-get": `#!/bin/sh
case "$*" in *update*) exit ;; *curl* | *shellcheck*) exit 100 ;; esac
test -x "` + policy + `" || exit 100
echo "#!/bin/sh" >"` + bin + `/debootstrap"
chmod 755 "` + bin + `/debootstrap"
`,
	} {
		err = errors.Join(err, os.WriteFile(filepath.Join(root, name), []byte(text), 0o755))
	}
	must.OK(t, err)
	script := filepath.Join(root, "setup.sh")
	setup := exec.Command(filepath.Join(bin, "sh"), script, "shellcheck", "debootstrap", "curl", "go")
	setup.Env = []string{"PATH=" + bin, "SETUP_ROOT=" + root}
	said, err := setup.Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || len(said) > 0 {
		t.Fatalf("%v, stdout %q, stderr %s; want exit code 1", err, said, exit.Stderr)
	}
	want := "setup: installing debootstrap curl\n" +
		"setup: apt-get could not install curl\n" +
		"setup: missing: curl: install it with your system's package manager" +
		" (brew install curl, dnf install curl, ...)\n" +
		"setup: missing: go: install the version named in go.mod or a newer one, see https://go.dev/dl/\n"
	if string(exit.Stderr) != want {
		t.Errorf("stderr\n%swant\n%s", exit.Stderr, want)
	}
	if _, err := os.Stat(policy); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("services stay off: %v", err)
	}
}
