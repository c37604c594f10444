package main

import (
	"fmt"
	"syscall"
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

// prSetChildSubreaper is PR_SET_CHILD_SUBREAPER of <linux/prctl.h>, which package syscall lacks.
const prSetChildSubreaper = 36

// becomeSubreaper makes this process inherit its orphaned descendants even if it is not process 1.
func becomeSubreaper() error {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prSetChildSubreaper, 1, 0); errno != 0 {
		return fmt.Errorf("prctl(PR_SET_CHILD_SUBREAPER): %w", errno)
	}
	return nil
}
