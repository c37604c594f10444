package main

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// attach prepares to read from standard input, and reports whether it is for this program: in the
// background it is not. For a screen, a terminal then delivers each key at once and shows none,
// because the screen shows them in their place. restore undoes that.
func attach(stdin *os.File, screen bool) (restore func(), readable bool) {
	nothing, fd := func() {}, int(stdin.Fd())
	if !term.IsTerminal(fd) {
		return nothing, true
	}
	// Otherwise reading in the background would stop the program. Now reading fails.
	signal.Ignore(unix.SIGTTIN, unix.SIGTTOU)
	if group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP); err != nil || group != unix.Getpgrp() {
		return nothing, false
	}
	if !screen {
		return nothing, true
	}
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nothing, false
	}
	now := *before
	now.Lflag &^= unix.ECHO | unix.ICANON
	now.Cc[unix.VMIN], now.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &now); err != nil {
		return nothing, false
	}
	return func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, before) }, true
}
