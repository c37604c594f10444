package rig

import (
	"context"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"squidfleet/internal/must"
)

// Raw listens on a port of every address of the namespace until it is stopped or the test ends. It
// hands each connection to serve, with a limit of time, and closes it afterwards.
func Raw(t testing.TB, port int, serve func(net.Conn)) (stop func()) {
	t.Helper()
	_, stop = RawAt(t, net.JoinHostPort("::", strconv.Itoa(port)), serve)
	return stop
}

// RawAt is Raw at an address. It returns the listener's, which has a port instead of 0.
func RawAt(t testing.TB, address string, serve func(net.Conn)) (listens string, stop func()) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	must.OK(t, err)
	stopped, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			done.Go(func() {
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(clientTimeout))
				defer context.AfterFunc(stopped, func() { conn.SetDeadline(time.Unix(1, 0)) })()
				serve(conn)
			})
		}
	})
	stop = func() {
		listener.Close()
		cancel()
		done.Wait()
	}
	t.Cleanup(stop)
	return listener.Addr().String(), stop
}
