package local

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// dirPrefix begins the name of a fleet's directory for temporary files. The number that follows is
// in its Squids' names too, and so in the names of their shared memory.
const dirPrefix = "squidfleet-local-"

// sharedMemory is where Squid keeps its segments; a test has another one.
var sharedMemory = "/dev/shm"

// squidPrefix begins the name of a fleet's Squids.
func squidPrefix(dir string) string {
	return "squidfleet" + strings.TrimPrefix(filepath.Base(dir), dirPrefix) + "t"
}

// makeDir makes a fleet's directory and locks it. The kernel ends the lock with this program.
func makeDir() (dir string, lock *os.File, err error) {
	for {
		if dir, err = os.MkdirTemp("", dirPrefix); err != nil {
			return "", nil, err
		}
		if lock, err = os.Open(dir); os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return dir, nil, err
		}
		if err := lockFile(lock, true); err != nil {
			return dir, lock, err
		}
		// Another fleet's sweep may have come before the lock.
		if _, err := os.Stat(dir); err == nil {
			return dir, lock, nil
		}
		lock.Close()
	}
}

// sweep removes what killed fleets left: with credentials=image that includes the passwords'
// hashes. It leaves other users' files alone. What cannot be removed stays.
func sweep(uid int) {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), dirPrefix+"*"))
	for _, dir := range dirs {
		sweepDir(dir, uid)
	}
}

func sweepDir(dir string, uid int) {
	if _, err := strconv.ParseUint(strings.TrimPrefix(filepath.Base(dir), dirPrefix), 10, 64); err != nil {
		return
	}
	if info, err := os.Lstat(dir); err != nil || !info.IsDir() || !ownedBy(info, uid) {
		return
	}
	lock, err := os.Open(dir)
	if err != nil {
		return
	}
	defer lock.Close()
	if err := lockFile(lock, false); err != nil {
		return // It is in use.
	}
	removeSegments(squidPrefix(dir) + "*")
	os.RemoveAll(dir)
}

// removeSegments removes what Squids of these names left in shared memory.
func removeSegments(names string) {
	segments, _ := filepath.Glob(filepath.Join(sharedMemory, names+"-*"))
	for _, segment := range segments {
		os.Remove(segment)
	}
}
