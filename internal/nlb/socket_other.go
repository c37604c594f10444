//go:build !linux

package nlb

import (
	"net"
	"syscall"
)

func newMeter(_, _ *net.TCPConn) meter { return newCountingMeter() }

// gone cannot tell the two sides apart here: a failed copy resets both at once.
func gone(*net.TCPConn) bool { return true }

// aborted cannot tell here: a reset may look like an end of data first.
func aborted(*net.TCPConn) bool { return false }

func lateBind(_, _ string, _ syscall.RawConn) error { return nil }
