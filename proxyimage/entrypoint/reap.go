package main

import (
	"fmt"
	"syscall"
)

// reap collects every child that has ended, Squid's orphaned helpers included, and returns Squid's status when it is among
// them.
func reap(squid int) (status syscall.WaitStatus, ended bool) {
	for {
		var one syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &one, syscall.WNOHANG, nil)
		switch {
		case err == syscall.EINTR:
		case pid <= 0: // Nothing more has ended, or there is no child left.
			return status, ended
		case pid == squid:
			status, ended = one, true
		}
	}
}

// prSetChildSubreaper is PR_SET_CHILD_SUBREAPER of <linux/prctl.h>, which package syscall lacks.
const prSetChildSubreaper = 36

// becomeSubreaper lets this process inherit the orphans among its descendants even when it is not process 1.
func becomeSubreaper() error {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prSetChildSubreaper, 1, 0); errno != 0 {
		return fmt.Errorf("prctl(PR_SET_CHILD_SUBREAPER): %w", errno)
	}
	return nil
}
