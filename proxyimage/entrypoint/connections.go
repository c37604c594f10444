package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// openStates are the states in which something may still be sent, as bits. A connection that
// Squid has closed counts until the client has confirmed the last bytes: they would be lost with
// the task.
const openStates = 1<<unix.BPF_TCP_ESTABLISHED | 1<<unix.BPF_TCP_FIN_WAIT1 | 1<<unix.BPF_TCP_CLOSE_WAIT |
	1<<unix.BPF_TCP_LAST_ACK | 1<<unix.BPF_TCP_CLOSING

// openConnections counts the clients' connections to a listener that something may still be sent
// on.
func openConnections(to netip.AddrPort) (int, error) { return countSockets(to, openStates) }

// listening reports whether there is a listener.
func listening(at netip.AddrPort) (bool, error) {
	n, err := countSockets(at, 1<<unix.BPF_TCP_LISTEN)
	return n > 0, err
}

// The kernel's interface for questions about sockets (sock_diag(7),
// include/uapi/linux/inet_diag.h).
const (
	diagRequestLength = 56
	diagAnswerLength  = 72
	diagTimeout       = 2 // seconds; an answer takes milliseconds
)

// countSockets counts the sockets at a local address in one of the states, given as bits. It asks
// the kernel for just these: a task that has made ten thousand connections in the last minute has
// all of them in /proc/net/tcp, which takes seconds to read on a busy machine.
func countSockets(at netip.AddrPort, states uint32) (int, error) {
	socket, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return 0, fmt.Errorf("netlink: %w", err)
	}
	defer syscall.Close(socket)
	err = syscall.SetsockoptTimeval(socket, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &syscall.Timeval{Sec: diagTimeout})
	var total, n int
	// A listener for both families has its IPv4 connections among those of IPv6.
	for _, family := range []byte{syscall.AF_INET, syscall.AF_INET6} {
		if err == nil {
			request := diagRequest(family, at.Port(), states)
			err = syscall.Sendto(socket, request, 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK})
		}
		if err == nil {
			n, err = receiveDiag(socket, at)
		}
		if err != nil {
			return 0, fmt.Errorf("netlink: %w", err)
		}
		total += n
	}
	return total, nil
}

// diagRequest asks for a family's sockets with a local port, in one of the states.
func diagRequest(family byte, port uint16, states uint32) []byte {
	b := make([]byte, syscall.NLMSG_HDRLEN, syscall.NLMSG_HDRLEN+diagRequestLength)
	native := binary.NativeEndian
	native.PutUint32(b[0:], uint32(cap(b)))
	native.PutUint16(b[4:], unix.SOCK_DIAG_BY_FAMILY)
	native.PutUint16(b[6:], syscall.NLM_F_REQUEST|syscall.NLM_F_DUMP)
	b = append(b, family, syscall.IPPROTO_TCP, 0, 0)
	b = native.AppendUint32(b, states)
	b = binary.BigEndian.AppendUint16(b, port)
	return b[:cap(b)] // any other port, any address, any interface
}

func receiveDiag(socket int, at netip.AddrPort) (int, error) {
	buffer := make([]byte, 64<<10)
	var count int
	for {
		n, _, err := syscall.Recvfrom(socket, buffer, 0)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return 0, err
		}
		messages, err := syscall.ParseNetlinkMessage(buffer[:n])
		if err != nil {
			return 0, err
		}
		for _, m := range messages {
			switch {
			case m.Header.Type == syscall.NLMSG_DONE:
				return count, nil
			case m.Header.Type == syscall.NLMSG_ERROR && len(m.Data) >= 4:
				return 0, syscall.Errno(-int32(binary.NativeEndian.Uint32(m.Data)))
			case m.Header.Type != unix.SOCK_DIAG_BY_FAMILY || len(m.Data) < diagAnswerLength:
				return 0, fmt.Errorf("a message of type %d and %d bytes", m.Header.Type, len(m.Data))
			}
			if local := diagLocal(m.Data); local.Port() == at.Port() &&
				(!at.Addr().IsValid() || at.Addr() == local.Addr()) {
				count++
			}
		}
	}
}

// diagLocal returns a socket's own address and port.
func diagLocal(answer []byte) netip.AddrPort {
	address := netip.AddrFrom16([16]byte(answer[8:24])).Unmap()
	if answer[0] == syscall.AF_INET {
		address = netip.AddrFrom4([4]byte(answer[8:12]))
	}
	return netip.AddrPortFrom(address, binary.BigEndian.Uint16(answer[4:6]))
}
