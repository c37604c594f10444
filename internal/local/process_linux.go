package local

import (
	"io/fs"
	"os"
	"syscall"
)

// taskProcess keeps a terminal's Ctrl-C from the task, because the fleet decides about it, and has
// the kernel end the task with the thread that started it: Go ends only locked threads early.
func taskProcess(o *owner) *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if o != nil {
		attributes.Credential = &syscall.Credential{Uid: o.uid, Gid: o.gid}
	}
	return attributes
}

// killGroup ends the entrypoint; the kernel ends Squid with it. An error means that it has ended.
func killGroup(pid int) error { return syscall.Kill(-pid, syscall.SIGKILL) }

// lockFile locks a file or directory. Without wait it returns an error if the lock is taken.
func lockFile(f *os.File, wait bool) error {
	how := syscall.LOCK_EX
	if !wait {
		how |= syscall.LOCK_NB
	}
	return syscall.Flock(int(f.Fd()), how)
}

// ownedBy reports whether a file is a user's.
func ownedBy(info fs.FileInfo, uid int) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == uid
}
