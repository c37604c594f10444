package main

import (
	"fmt"
	"syscall"
)

// prSetNoNewPrivs is PR_SET_NO_NEW_PRIVS of <linux/prctl.h>, which package syscall lacks.
const prSetNoNewPrivs = 38

// renouncePrivileges keeps this process and its descendants from gaining privileges by setuid files
// or file capabilities. The image has neither; an intruder's own files gain nothing either.
// Container engines have an option for it, Fargate does not. The kernel keeps the flag per thread
// and passes it on to children and over exec, so every thread of Go's runtime needs it.
func renouncePrivileges() error {
	if _, _, errno := syscall.AllThreadsSyscall(syscall.SYS_PRCTL, prSetNoNewPrivs, 1, 0); errno != 0 {
		return fmt.Errorf("prctl(PR_SET_NO_NEW_PRIVS): %w", errno)
	}
	return nil
}
