package local

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// advice says how to install Squid.
const advice = `install it:
  Debian, Ubuntu    scripts/setup.sh squid (make local does that), or sudo apt-get install squid
  elsewhere         Squid 5.7 or newer from the system's packages`

// findSquid returns the absolute path of Squid. Debian's usual place comes first: the PATH of an
// unprivileged user does not include it.
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
