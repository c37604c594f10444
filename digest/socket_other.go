//go:build !linux

package digest

import "os"

// socket is used on Linux only, where the container runs.
type socket struct{ *os.File }

func openSocket(any) *socket { return nil }
