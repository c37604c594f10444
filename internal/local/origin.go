package local

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// originPort is the origin's, if it can be; unlike 80 it needs no privileges.
const originPort = 8080

// Origin is a web server on this machine.
type Origin struct {
	// Address is where it listens.
	Address netip.AddrPort
	server  http.Server
	done    chan error
}

// StartOrigin starts an origin. A nil handler answers with the client's address and a line end.
func StartOrigin(handler http.Handler) (*Origin, error) {
	if err := supported(); err != nil {
		return nil, err
	}
	if handler == nil {
		handler = http.HandlerFunc(tellAddress)
	}
	listener, err := listenOrigin()
	if err != nil {
		return nil, explain(err)
	}
	o := &Origin{Address: listener.Addr().(*net.TCPAddr).AddrPort(), done: make(chan error, 1)}
	o.server.Handler = handler
	o.server.ReadHeaderTimeout = time.Minute
	go func() { o.done <- o.server.Serve(listener) }()
	return o, nil
}

// listenOrigin takes the usual port at the first address that has it free. If a program listens
// there at all addresses, it takes any other port.
func listenOrigin() (net.Listener, error) {
	for address := firstOrigin; address.Less(firstTask); address = address.Next() {
		l, err := net.Listen("tcp4", netip.AddrPortFrom(address, originPort).String())
		if !errors.Is(err, syscall.EADDRINUSE) {
			return l, err
		}
	}
	return net.Listen("tcp4", netip.AddrPortFrom(firstOrigin, 0).String())
}

func tellAddress(w http.ResponseWriter, r *http.Request) {
	address, _, _ := net.SplitHostPort(r.RemoteAddr)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	io.WriteString(w, address+"\n")
}

// Close ends the origin and its connections.
func (o *Origin) Close() error {
	err := o.server.Close()
	if served := <-o.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
