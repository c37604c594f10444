//go:build !linux

package local

import (
	"errors"
	"fmt"
	"runtime"
	"syscall"
)

func supported() error {
	return fmt.Errorf("local: %w on %s: the entrypoint is a program for Linux, and every task needs an address of its own on the loopback interface; run it, and the client, in one Linux machine or container",
		errors.ErrUnsupported, runtime.GOOS)
}

func taskProcess(*owner) *syscall.SysProcAttr { return &syscall.SysProcAttr{} }

func killGroup(int) error { return supported() }
