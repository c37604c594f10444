package local

import "syscall"

// supported reports why the tasks cannot run on this system, or nil.
func supported() error { return nil }

// taskProcess keeps a terminal's Ctrl-C from the task, which is told by its fleet what to do, and lets the kernel end it should this program be killed. The kernel means the thread that started the
// task; Go's runtime ends only threads that a goroutine has locked.
func taskProcess(o *owner) *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if o != nil {
		attributes.Credential = &syscall.Credential{Uid: o.uid, Gid: o.gid}
	}
	return attributes
}

// killGroup ends the entrypoint, and with it what it started: the kernel ends Squid with it. An error means that it has ended.
func killGroup(pid int) error { return syscall.Kill(-pid, syscall.SIGKILL) }
