//go:build !linux

package nlb

import (
	"net"
	"syscall"
	"time"
)

// The tasks behind this load balancer run on Linux only; elsewhere it just compiles.

func idle(_, _ *net.TCPConn) time.Duration { return 0 }

func gone(*net.TCPConn) bool { return true }

func aborted(*net.TCPConn) bool { return false }

func lateBind(_, _ string, _ syscall.RawConn) error { return nil }
