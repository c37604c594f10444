//go:build !linux

package local

import (
	"io/fs"
	"os"
	"syscall"
)

// These only compile: tasks run on Linux.

func taskProcess(*owner) *syscall.SysProcAttr { return &syscall.SysProcAttr{} }

func killGroup(int) error { return supported() }

func lockFile(*os.File, bool) error { return supported() }

func ownedBy(fs.FileInfo, int) bool { return false }
