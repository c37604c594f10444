package main

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// reap collects every child that has ended, Squid's orphaned helpers included. If Squid is among
// them, it returns Squid's status.
func reap(squid int) (status syscall.WaitStatus, ended bool) {
	for {
		var one syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &one, syscall.WNOHANG, nil)
		switch {
		case err == syscall.EINTR:
		case pid <= 0: // No further child has ended, or none is left.
			return status, ended
		case pid == squid:
			status, ended = one, true
		}
	}
}

// becomeSubreaper makes this process inherit its orphaned descendants even if it is not process 1.
func becomeSubreaper() error {
	return os.NewSyscallError("prctl", unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
}
