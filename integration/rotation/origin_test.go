package rotation

import (
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"time"
)

// The origin's paths. Each answer begins with the address that asked, or carries it in
// egressHeader.
const (
	pathAddress = "/"
	pathEcho    = "/echo"  // answers with the address in a line, then returns what is sent
	pathLarge   = "/large" // largeSize bytes, spread over largeTime

	egressHeader = "X-Egress"
)

// A large transfer takes most of the drainTimeout. Whenever it begins, also as the last that the
// load balancer sends to an old task, it is done in time.
const (
	largeSize   = 8 << 20
	largePieces = 30
)

func origin(largeTime time.Duration) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc(pathAddress, func(w http.ResponseWriter, r *http.Request) {
		egress := egressOf(r)
		w.Header().Set(egressHeader, egress)
		io.WriteString(w, egress+"\n")
	})
	mux.HandleFunc(pathEcho, func(w http.ResponseWriter, r *http.Request) {
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		io.WriteString(conn, egressOf(r)+"\n")
		io.Copy(conn, buffered)
	})
	mux.HandleFunc(pathLarge, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(egressHeader, egressOf(r))
		w.Header().Set("Content-Length", strconv.Itoa(largeSize/largePieces*largePieces))
		piece := make([]byte, largeSize/largePieces)
		for range largePieces {
			if _, err := w.Write(piece); err != nil {
				return
			}
			http.NewResponseController(w).Flush()
			select {
			case <-time.After(largeTime / largePieces):
			case <-r.Context().Done():
				return
			}
		}
	})
	return mux
}

func egressOf(r *http.Request) string { return netip.MustParseAddrPort(r.RemoteAddr).Addr().String() }
