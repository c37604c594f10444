package main

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strconv"
)

// States of a TCP socket, as the kernel numbers them (include/net/tcp_states.h).
const (
	tcpEstablished = 0x01
	tcpFinWait1    = 0x04
	tcpCloseWait   = 0x08
	tcpLastAck     = 0x09
	tcpListen      = 0x0A
	tcpClosing     = 0x0B
)

// openConnections counts the clients' connections to a listener. A connection is open while something may still be sent on it: that includes one that Squid has closed
// while the client has not yet confirmed the last bytes, since these would be lost with the network namespace.
func openConnections(to netip.AddrPort) (int, error) {
	return firstAnswer(to, askOpenConnections, readOpenConnections)
}

// firstAnswer is the first way's that works: a sandbox need not let its programs ask the kernel.
func firstAnswer(to netip.AddrPort, ways ...func(netip.AddrPort) (int, error)) (n int, err error) {
	for _, count := range ways {
		if n, err = count(to); err == nil {
			break
		}
	}
	return n, err
}

// readOpenConnections counts them in the kernel's tables, which name every socket in this network namespace.
func readOpenConnections(to netip.AddrPort) (int, error) {
	return countSockets(to, tcpEstablished, tcpFinWait1, tcpCloseWait, tcpLastAck, tcpClosing)
}

// listening tells whether there is a listener.
func listening(at netip.AddrPort) (bool, error) {
	n, err := countSockets(at, tcpListen)
	return n > 0, err
}

// countSockets counts the sockets of the kernel's tables that are at a local address and in one of the states.
func countSockets(at netip.AddrPort, states ...uint64) (int, error) {
	var total int
	for _, path := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		table, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // A kernel without IPv6.
		}
		if err != nil {
			return 0, err
		}
		n, err := countIn(table, at, states...)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", path, err)
		}
		total += n
	}
	return total, nil
}

// countIn reads lines of the form
//
//	sl  local_address rem_address   st tx_queue rx_queue ...
//	 1: 0100007F:8981 0100007F:C350 01 00000000:00000000 ...
//
// The kernel writes the table piece by piece, while sockets come and go: it may name one twice.
func countIn(table []byte, at netip.AddrPort, states ...uint64) (int, error) {
	seen := map[string]bool{}                       // by local and remote address
	_, entries, _ := bytes.Cut(table, []byte("\n")) // the heading
	for line := range bytes.Lines(entries) {
		_, rest, _ := bytes.Cut(line, []byte(": "))
		localText, rest, _ := bytes.Cut(rest, []byte(" "))
		remote, rest, found := bytes.Cut(rest, []byte(" "))
		if !found || len(rest) < 2 {
			return 0, fmt.Errorf("%q is not a socket", line)
		}
		state, err := strconv.ParseUint(string(rest[:2]), 16, 8)
		if err != nil {
			return 0, fmt.Errorf("%q is not a socket: %w", line, err)
		}
		if !slices.Contains(states, state) {
			continue
		}
		local, err := parseLocal(localText)
		if err != nil {
			return 0, fmt.Errorf("%q is not a socket: %w", line, err)
		}
		if local.Port() == at.Port() && (!at.Addr().IsValid() || at.Addr() == local.Addr()) {
			seen[string(localText)+" "+string(remote)] = true
		}
	}
	return len(seen), nil
}

// parseLocal reads ADDRESS:PORT in hexadecimal. The kernel prints an address as words of four bytes in the machine's order,
// which is little-endian on both of Fargate's architectures.
func parseLocal(text []byte) (netip.AddrPort, error) {
	words, number, found := bytes.Cut(text, []byte(":"))
	port, err := strconv.ParseUint(string(number), 16, 16)
	if !found || err != nil {
		return netip.AddrPort{}, fmt.Errorf("port of %q", text)
	}
	var buffer [16]byte
	if hex.DecodedLen(len(words)) > len(buffer) {
		return netip.AddrPort{}, fmt.Errorf("address of %q", text)
	}
	n, err := hex.Decode(buffer[:], words)
	if err != nil {
		return netip.AddrPort{}, err
	}
	raw := buffer[:n]
	for i := 0; i+4 <= len(raw); i += 4 {
		raw[i], raw[i+1], raw[i+2], raw[i+3] = raw[i+3], raw[i+2], raw[i+1], raw[i]
	}
	address, ok := netip.AddrFromSlice(raw)
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("address of %q", text)
	}
	return netip.AddrPortFrom(address.Unmap(), uint16(port)), nil
}
