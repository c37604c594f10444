package local

import (
	"errors"
	"fmt"
	"runtime"
)

// system is the operating system; a test sets another one.
var system = runtime.GOOS

// supported reports why the tasks cannot run on this system, or nil.
func supported() error {
	if system == "linux" {
		return nil
	}
	return fmt.Errorf(
		"local: %w on %s: the entrypoint is a program for Linux, and every task needs an address of its own on "+
			"the loopback interface; run it, and the client, in one Linux machine or container",
		errors.ErrUnsupported, system)
}
