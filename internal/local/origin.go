package local

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// originPort is the origin's; unlike 80 it needs no privileges.
const originPort = 8080

// Origin is a web server on this machine.
type Origin struct {
	// Address is where it listens.
	Address netip.AddrPort
	server  http.Server
	done    chan error
}

// StartOrigin starts an origin. A nil handler answers every request with the address it came from and a line end. Close must be called.
func StartOrigin(handler http.Handler) (*Origin, error) {
	if handler == nil {
		handler = http.HandlerFunc(tellAddress)
	}
	address, err := free(firstOrigin, originPort)
	if err != nil {
		return nil, err
	}
	o := &Origin{Address: netip.AddrPortFrom(address, originPort), done: make(chan error, 1)}
	listener, err := net.Listen("tcp4", o.Address.String())
	if err != nil {
		return nil, explain(err)
	}
	o.server.Handler = handler
	o.server.ReadHeaderTimeout = time.Minute
	go func() { o.done <- o.server.Serve(listener) }()
	return o, nil
}

func tellAddress(w http.ResponseWriter, r *http.Request) {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	io.WriteString(w, from.Addr().String()+"\n")
}

// Close ends the origin and its connections.
func (o *Origin) Close() error {
	err := o.server.Close()
	if served := <-o.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
