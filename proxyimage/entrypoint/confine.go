package main

import (
	"fmt"
	"syscall"
)

// prSetNoNewPrivs is PR_SET_NO_NEW_PRIVS of <linux/prctl.h>, which package syscall lacks.
const prSetNoNewPrivs = 38

// renouncePrivileges lets nothing that this process executes, or anything below it, gain privileges by a setuid file or by file capabilities: the image has
// neither, and whoever got a file into a container could use none. A container engine has an option for it, Fargate has not. The kernel keeps it per thread and hands it on
// to children and over exec, so every thread of Go's runtime has to have it.
func renouncePrivileges() error {
	if _, _, errno := syscall.AllThreadsSyscall(syscall.SYS_PRCTL, prSetNoNewPrivs, 1, 0); errno != 0 {
		return fmt.Errorf("prctl(PR_SET_NO_NEW_PRIVS): %w", errno)
	}
	return nil
}
