package rig

import (
	"bufio"
	"context"
	"crypto/md5"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/icholy/digest"
)

// Loader is a client as cheap as possible, so that a benchmark measures the proxy. It sends Basic
// credentials unasked where its client's Algorithm says so, and answers a challenge for Digest.
type Loader struct {
	Client Client
	// Tasks are where its connections go, in turn. With none, they go to the client's task.
	Tasks []netip.AddrPort
	// Conn is the last connection.
	Conn net.Conn

	next   int
	reader *bufio.Reader
	realm  string
	nonce  string
	count  int
}

// Loaders are n that share tasks and come from a hundred addresses of 198.51.100.0/24. A client
// without a PROXY header keeps its address.
func Loaders(n int, c Client, tasks ...netip.AddrPort) []*Loader {
	loaders := make([]*Loader, n)
	for i := range loaders {
		loaders[i] = &Loader{Client: c, Tasks: tasks, next: i}
		if c.Header != nil {
			loaders[i].Client.Header = ProxyHeader(netip.AddrFrom4([4]byte{198, 51, 100, byte(100 + i%100)}))
		}
	}
	return loaders
}

// Dial opens the next connection.
func (l *Loader) Dial() (err error) {
	if len(l.Tasks) > 0 {
		l.Client.Task = l.Tasks[l.next%len(l.Tasks)]
		l.next++
	}
	if l.Conn, err = l.Client.Dial(); err != nil {
		return err
	}
	if l.reader == nil {
		l.reader = bufio.NewReader(l.Conn)
	} else {
		l.reader.Reset(l.Conn)
	}
	return nil
}

// Request sends one request under the current nonce, answers a challenge, and reads the answer. The
// bytes of a tunnel are left unread.
func (l *Loader) Request(method, target, uri string) error {
	for range 3 {
		head := method + " " + target + " HTTP/1.1\r\nHost: origin.example\r\n"
		if l.Client.Algorithm == "Basic" {
			head += "Proxy-Authorization: " + Basic(l.Client.User, l.Client.Password) + "\r\n"
		} else if l.nonce != "" {
			l.count++
			head += l.Client.Answer(l.realm, l.nonce, fmt.Sprintf("%08x", l.count), method, uri) + "\r\n"
		}
		if _, err := io.WriteString(l.Conn, head+"\r\n"); err != nil {
			return err
		}
		response, err := http.ReadResponse(l.reader, &http.Request{Method: method})
		if err != nil {
			return err
		}
		if response.StatusCode == http.StatusOK && method == http.MethodConnect {
			return nil
		}
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			return err
		}
		switch response.StatusCode {
		case http.StatusOK:
			return nil
		case http.StatusProxyAuthRequired:
			challenge, err := digest.ParseChallenge(response.Header.Get("Proxy-Authenticate"))
			if err != nil {
				return err
			}
			l.realm, l.nonce, l.count = challenge.Realm, challenge.Nonce, 0
			if response.Close {
				l.Conn.Close()
				if err := l.Dial(); err != nil {
					return err
				}
			}
		default:
			return fmt.Errorf("status %d", response.StatusCode)
		}
	}
	return fmt.Errorf("challenged three times")
}

// Answer is the header line that answers a challenge for MD5.
func (c Client) Answer(realm, nonce, nc, method, uri string) string {
	response := sum(sum(c.User, realm, c.Password), nonce, nc, "c", "auth", sum(method, uri))
	return `Proxy-Authorization: Digest username="` + c.User + `", realm="` + realm + `", nonce="` + nonce +
		`", uri="` + uri + `", qop=auth, nc=` + nc + `, cnonce="c", response="` + response + `"`
}

func sum(parts ...string) string {
	hash := md5.Sum([]byte(strings.Join(parts, ":")))
	return hex.EncodeToString(hash[:])
}

// Get sends a request for the body of an origin on the open connection.
func (l *Loader) Get() error { return l.Request("GET", "http://origin.example/", "/") }

// Tunnel opens a connection and a tunnel on it, and sends an order, see StartBulk.
func (l *Loader) Tunnel(order string) error {
	if err := l.Dial(); err != nil {
		return err
	}
	if err := l.Request("CONNECT", "origin.example:443", "origin.example:443"); err != nil {
		return err
	}
	_, err := io.WriteString(l.Conn, order)
	return err
}

// Orders to the listener of StartBulk.
const (
	SendNothing = "0"
	sendBulk    = "1"
)

// StartBulk listens on port 443 of every address. It answers all orders but SendNothing with
// endless bytes.
func StartBulk(t testing.TB) {
	t.Helper()
	listener, err := net.Listen("tcp", ":443")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				order := make([]byte, 1)
				_, err := io.ReadFull(conn, order)
				for block := make([]byte, 256<<10); err == nil && string(order) != SendNothing; {
					_, err = conn.Write(block)
				}
			}()
		}
	}()
}

// Job is what a loader does until the context ends. It reports each piece: how much it was, and how
// long it took.
type Job func(ctx context.Context, l *Loader, done func(amount int, took time.Duration)) error

// KeepAliveGets sends one request after the other on a connection.
func KeepAliveGets(ctx context.Context, l *Loader, done func(int, time.Duration)) error {
	return PacedGets(0)(ctx, l, done)
}

// PacedGets sends requests on a connection at random times, on average after a pause. A request
// that has to wait for the one before takes from when it was due.
func PacedGets(pause time.Duration) Job {
	return func(ctx context.Context, l *Loader, done func(int, time.Duration)) error {
		if err := l.Dial(); err != nil {
			return err
		}
		defer func() { l.Conn.Close() }()
		for due := time.Now(); ; {
			if err := l.Get(); err != nil {
				return err
			}
			done(1, time.Since(due))
			if pause == 0 {
				due = time.Now()
				if ctx.Err() != nil {
					return nil
				}
				continue
			}
			due = due.Add(time.Duration(rand.ExpFloat64() * float64(pause)))
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(time.Until(due)):
			}
		}
	}
}

// NewTunnels opens one tunnel after the other, each with a byte through it.
func NewTunnels(ctx context.Context, l *Loader, done func(int, time.Duration)) error {
	for ctx.Err() == nil {
		begin := time.Now()
		if err := l.Tunnel(SendNothing); err != nil {
			return err
		}
		io.Copy(io.Discard, l.reader)
		l.Conn.Close()
		done(1, time.Since(begin))
	}
	return nil
}

// TLSTunnels is what clients use tunnels for: a TLS handshake and a request in each.
func TLSTunnels(ctx context.Context, l *Loader, done func(int, time.Duration)) error {
	for ctx.Err() == nil {
		begin := time.Now()
		if err := l.Dial(); err != nil {
			return err
		}
		if err := l.Request("CONNECT", "origin.example:8443", "origin.example:8443"); err != nil {
			return err
		}
		secure := tls.Client(l.Conn, &tls.Config{InsecureSkipVerify: true})
		if _, err := io.WriteString(secure, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, secure); err != nil {
			return err
		}
		secure.Close()
		done(1, time.Since(begin))
	}
	return nil
}

// Bulk reads bytes from a tunnel.
func Bulk(ctx context.Context, l *Loader, done func(int, time.Duration)) error {
	if err := l.Tunnel(sendBulk); err != nil {
		return err
	}
	defer l.Conn.Close()
	buffer := make([]byte, 256<<10)
	for ctx.Err() == nil {
		begin := time.Now()
		n, err := l.reader.Read(buffer)
		if err != nil {
			return err
		}
		done(n, time.Since(begin))
	}
	return nil
}

// Loaded is what loaders did in the time that counted.
type Loaded struct {
	// Amount is the sum of the pieces, Rate the same a second.
	Amount, Rate float64
	// P50 and P99 are how long pieces took: half of them at most P50, 99 percent at most P99.
	P50, P99 time.Duration
}

// settle is how long the work of the beginning may take to be done with.
const settle = 200 * time.Millisecond

// Load has loaders do a job at the same time. A length of it counts, once each has done a piece.
// Edge is called at the beginning and at the end of what counts.
func Load(loaders []*Loader, job Job, length time.Duration, edge func()) (Loaded, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var counting atomic.Bool
	var amount atomic.Int64
	var began, ended sync.WaitGroup
	began.Add(len(loaders))
	took, errs := make([][]time.Duration, len(loaders)), make([]error, len(loaders))
	for i, l := range loaders {
		ended.Go(func() {
			begun := sync.OnceFunc(began.Done)
			errs[i] = job(ctx, l, func(n int, t time.Duration) {
				begun()
				if counting.Load() {
					amount.Add(int64(n))
					took[i] = append(took[i], t)
				}
			})
			if errs[i] != nil {
				cancel()
			}
			begun()
		})
	}
	began.Wait()
	time.Sleep(settle)
	edge()
	begin := time.Now()
	counting.Store(true)
	time.Sleep(length)
	counting.Store(false)
	elapsed := time.Since(begin)
	edge()
	cancel()
	ended.Wait()
	total := float64(amount.Load())
	loaded := Loaded{Amount: total, Rate: total / elapsed.Seconds()}
	if all := slices.Concat(took...); len(all) > 0 {
		slices.Sort(all)
		loaded.P50, loaded.P99 = all[len(all)/2], all[len(all)*99/100]
	}
	return loaded, errors.Join(errs...)
}
