package nlb

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// information returns the kernel's view of a connection, nil once it is closed here.
func information(t *net.TCPConn) *unix.TCPInfo {
	raw, err := t.SyscallConn()
	if err != nil {
		return nil
	}
	var info *unix.TCPInfo
	_ = raw.Control(func(fd uintptr) {
		info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	})
	if err != nil {
		return nil
	}
	return info
}

// idle returns how long no data has moved on either side, by the kernel's count: the copying stays
// inside it (splice). Sending counts too: what a slow receiver has yet to take lies in our buffers.
func idle(client, upstream *net.TCPConn) time.Duration {
	shortest := time.Duration(1<<63 - 1)
	for _, side := range []*net.TCPConn{client, upstream} {
		info := information(side)
		if info == nil {
			return 0 // the connection is just ending
		}
		last := time.Duration(min(info.Last_data_recv, info.Last_data_sent)) * time.Millisecond
		shortest = min(shortest, last)
	}
	return shortest
}

// aborted reports whether a connection is in TCP's state CLOSE, which it reaches by a reset, or
// after both sides have sent their end of data.
func aborted(t *net.TCPConn) bool {
	info := information(t)
	return info != nil && info.State == unix.BPF_TCP_CLOSE
}

// gone reports whether a side of a failed copy is the one that failed: a living one can be read.
func gone(t *net.TCPConn) bool {
	raw, err := t.SyscallConn()
	if err != nil {
		return true
	}
	dead := true
	_ = raw.Control(func(fd uintptr) {
		var one [1]byte
		n, _, err := unix.Recvfrom(int(fd), one[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		dead = err != unix.EAGAIN && (err != nil || n == 0)
	})
	return dead
}

// lateBind leaves the choice of the source port to connect(2), which may reuse one: with bind(2), a
// node with a fixed address would run out of ports under load. Failing to set it is no error.
func lateBind(_, _ string, raw syscall.RawConn) error {
	return raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	})
}
