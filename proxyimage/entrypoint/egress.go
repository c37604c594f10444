package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"squidfleet/destination"
)

// defaultEgressURL answers with its client's address, as text. Plain HTTP is enough: TLS would
// take the image over its limits, and no decision depends on the answer. A forged one puts a wrong
// address into the log and does nothing else.
const defaultEgressURL = "http://checkip.amazonaws.com/"

const (
	egressTimeout = 2 * time.Second
	// The attempts take a minute: a task's address may be attached after its start.
	egressAttempts = 7
	egressPause    = time.Second // doubles each time
	// An answer is an address and a line end; the rest is room for headers.
	egressAnswerLimit = 8 << 10
)

// parseEgressURL returns an error if askEgress does not support the URL.
func parseEgressURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, errors.New("is not a URL")
	case u.Scheme != "http":
		return nil, fmt.Errorf("%q does not begin with http://, the only scheme supported", raw)
	case u.Hostname() == "" || u.User != nil || u.Fragment != "":
		return nil, fmt.Errorf("%q is not a plain http://host/path", raw)
	}
	return u, nil
}

// listenerPoll is how often the kernel is asked while Squid starts.
const listenerPoll = 50 * time.Millisecond

// awaitListener returns once Squid listens, or if that cannot be found out. Linux chooses ports of
// outgoing connections from 32768 to 60999: an earlier connection could take the listener's own
// port, and Squid would not start.
func awaitListener(at netip.AddrPort) {
	for {
		if listens, err := listening(at); listens || err != nil {
			return
		}
		time.Sleep(listenerPoll)
	}
}

// learnEgress asks for the task's public address, several times if needed.
func learnEgress(from *url.URL) (address netip.Addr, err error) {
	for attempt := range egressAttempts {
		if attempt > 0 {
			time.Sleep(egressPause << (attempt - 1))
		}
		if address, err = askEgress(from); err == nil {
			return address, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("after %d attempts: %w", egressAttempts, err)
}

// askEgress asks once. net/http would make the image larger for this one request. A server answers
// HTTP/1.0 without chunks and closes the connection.
func askEgress(from *url.URL) (address netip.Addr, err error) {
	deadline := time.Now().Add(egressTimeout)
	dialer := net.Dialer{Deadline: deadline}
	conn, err := dialer.Dial("tcp", net.JoinHostPort(from.Hostname(), cmp.Or(from.Port(), "80")))
	if err != nil {
		return address, err
	}
	defer conn.Close()
	conn.SetDeadline(deadline)
	const request = "GET %s HTTP/1.0\r\nHost: %s\r\nUser-Agent: squidfleet\r\nAccept: text/plain\r\n\r\n"
	if _, err := fmt.Fprintf(conn, request, from.RequestURI(), from.Host); err != nil {
		return address, err
	}
	answer, err := io.ReadAll(io.LimitReader(conn, egressAnswerLimit+1))
	if err != nil {
		return address, err
	}
	if len(answer) > egressAnswerLimit {
		return address, fmt.Errorf("the answer of %s is longer than %d bytes", from.Host, egressAnswerLimit)
	}
	if address, err = readEgress(answer); err != nil {
		return address, fmt.Errorf("the answer of %s: %w", from.Host, err)
	}
	return address, nil
}

// readEgress reads a whole answer.
func readEgress(answer []byte) (netip.Addr, error) {
	head, body, complete := bytes.Cut(answer, []byte("\r\n\r\n"))
	line, _, _ := bytes.Cut(head, []byte("\r\n"))
	status, isHTTP := bytes.CutPrefix(line, []byte("HTTP/1."))
	if fields := bytes.Fields(status); !complete || !isHTTP || len(fields) < 2 || string(fields[1]) != "200" {
		return netip.Addr{}, fmt.Errorf("%.60q is not HTTP's 200", line)
	}
	text := string(bytes.TrimSpace(body))
	address, err := netip.ParseAddr(text)
	if err != nil || address.Zone() != "" {
		return netip.Addr{}, fmt.Errorf("%.60q is not an IP address", text)
	}
	address = address.Unmap()
	special := func(r destination.Range) bool { return r.Prefix.Contains(address) }
	if slices.ContainsFunc(destination.Ranges(), special) {
		return netip.Addr{}, fmt.Errorf("%s is not a public address", address)
	}
	return address, nil
}
