package main

import (
	"bytes"
	"context"
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

// defaultEgressURL answers with the address it was asked from, as text. It is asked over plain HTTP: TLS would add 2.1 MB,
// 8 percent, to the image, and whoever can forge the answer between a task and AWS can put a wrong address into the log
// and nothing else, since no decision depends on it.
const defaultEgressURL = "http://checkip.amazonaws.com/"

const (
	egressTimeout = 2 * time.Second
	// The attempts are spread over a minute, in case the task's address is not attached yet at its start.
	egressAttempts = 7
	egressPause    = time.Second // doubles each time
	// An answer is an address and a line end; this leaves room for the headers.
	egressAnswerLimit = 8 << 10
)

// checkEgressURL reports why a URL cannot be asked, or nil.
func checkEgressURL(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return errors.New("is not a URL")
	case u.Scheme != "http":
		return fmt.Errorf("%q does not begin with http://, the only scheme there is", raw)
	case u.Hostname() == "" || u.User != nil || u.Fragment != "":
		return fmt.Errorf("%q is not a plain http://host/path", raw)
	}
	return nil
}

// learnEgress asks until it has the task's public address or has tried often enough, and returns it; ctx ends it early.
func learnEgress(ctx context.Context, raw string) (netip.Addr, error) {
	var err error
	for attempt := range egressAttempts {
		if attempt > 0 {
			select {
			case <-time.After(egressPause << (attempt - 1)):
			case <-ctx.Done():
				return netip.Addr{}, ctx.Err()
			}
		}
		var address netip.Addr
		if address, err = askEgress(ctx, raw); err == nil {
			return address, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("after %d attempts: %w", egressAttempts, err)
}

// askEgress asks once. It is HTTP/1.0 by hand, because net/http would add 1.2 MB for this one request; a server answers
// HTTP/1.0 without chunks and closes.
func askEgress(ctx context.Context, raw string) (netip.Addr, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return netip.Addr{}, err
	}
	port := u.Port()
	if port == "" {
		port = "80"
	}
	ctx, cancel := context.WithTimeout(ctx, egressTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return netip.Addr{}, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.0\r\nHost: %s\r\nUser-Agent: squidfleet\r\nAccept: text/plain\r\n\r\n", u.RequestURI(), u.Host); err != nil {
		return netip.Addr{}, err
	}
	answer, err := io.ReadAll(io.LimitReader(conn, egressAnswerLimit+1))
	if err != nil {
		return netip.Addr{}, err
	}
	if len(answer) > egressAnswerLimit {
		return netip.Addr{}, fmt.Errorf("the answer of %s is longer than %d bytes", u.Host, egressAnswerLimit)
	}
	address, err := readEgress(answer)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("the answer of %s: %w", u.Host, err)
	}
	return address, nil
}

// readEgress takes a whole answer apart.
func readEgress(answer []byte) (netip.Addr, error) {
	head, body, complete := bytes.Cut(answer, []byte("\r\n\r\n"))
	status, _, _ := bytes.Cut(head, []byte("\r\n"))
	if fields := bytes.Fields(status); !complete || len(fields) < 2 || !bytes.HasPrefix(fields[0], []byte("HTTP/1.")) || string(fields[1]) != "200" {
		return netip.Addr{}, fmt.Errorf("%.60q is not HTTP's 200", status)
	}
	text := string(bytes.TrimSpace(body))
	address, err := netip.ParseAddr(text)
	if err != nil || address.Zone() != "" {
		return netip.Addr{}, fmt.Errorf("%.60q is not an IP address", text)
	}
	address = address.Unmap()
	if slices.ContainsFunc(destination.Ranges(), func(r destination.Range) bool { return r.Prefix.Contains(address) }) {
		return netip.Addr{}, fmt.Errorf("%s is not a public address", address)
	}
	return address, nil
}
