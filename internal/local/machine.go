package local

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
)

// system is the operating system; a test sets another one.
var system = runtime.GOOS

// supported reports why the tasks cannot run on this system, or nil.
func supported() error {
	if system == "linux" {
		return nil
	}
	return fmt.Errorf("local: %w on %s: the entrypoint is a program for Linux, and every task needs an address of "+
		"its own on the loopback interface; run it, and the client, in one Linux machine or container",
		errors.ErrUnsupported, system)
}

// advice says how to install Squid.
const advice = `install it:
  Debian, Ubuntu    scripts/setup.sh squid (make local does that), or sudo apt-get install squid
  elsewhere         Squid 5.7 or newer from the system's packages`

// findSquid returns Squid's absolute path. Debian's place comes first: few users' PATH includes it.
func findSquid(usual string) (string, error) {
	if _, err := os.Stat(usual); err == nil {
		return usual, nil
	}
	path, err := exec.LookPath("squid")
	if err != nil {
		return "", fmt.Errorf("no Squid: neither %s nor squid on PATH; %s", usual, advice)
	}
	return filepath.Abs(path)
}

// owner is the user that the tasks run as. In the image it is an unprivileged user too; a Squid
// that root starts would change to one of its own choice.
type owner struct{ uid, gid uint32 }

// nobody is the user of root's tasks.
const nobody = 65534

// taskUser returns nil for the user who runs this program; for root, sudo's user or else nobody.
func taskUser(euid int, environment func(string) string) *owner {
	if euid != 0 {
		return nil
	}
	uid, err := strconv.ParseUint(environment("SUDO_UID"), 10, 32)
	gid, gidErr := strconv.ParseUint(environment("SUDO_GID"), 10, 32)
	if err != nil || gidErr != nil || uid == 0 {
		return &owner{nobody, nobody}
	}
	return &owner{uint32(uid), uint32(gid)}
}

// give makes the tasks' user the owner of a path.
func (o *owner) give(path string) error {
	if o == nil {
		return nil
	}
	return os.Chown(path, int(o.uid), int(o.gid))
}

// temporary returns the directory that the tasks' programs need.
func (o *owner) temporary() string {
	enter := ""
	if o != nil {
		enter = fmt.Sprintf(", and the tasks' user %d to enter", o.uid)
	}
	return "programs must be allowed to run there (no noexec)" + enter + ": choose another directory with TMPDIR"
}
