package rig

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"slices"
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
	// Digest is the challenge under which it sends requests, and Challenges how often it got one.
	Digest     *digest.Challenge
	Challenges int

	next   int
	reader *bufio.Reader
	count  int       // of requests under the challenge
	due    time.Time // of PacedGets
	buffer []byte    // of Bulk
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
		l.reader = bufio.NewReader(nil)
	}
	l.reader.Reset(l.Conn)
	return nil
}

// Again sends the next request on a new connection, which stays open.
func (l *Loader) Again(method, target string) error {
	if err := l.Dial(); err != nil {
		return err
	}
	err := l.Request(method, target)
	if err != nil {
		l.Conn.Close()
	}
	return err
}

// Request sends one request under the current challenge, answers a new one, and reads the answer.
// The bytes of a tunnel are left unread.
func (l *Loader) Request(method, target string) error {
	for range 3 {
		credentials, err := l.credentials(method, target)
		if err != nil {
			return err
		}
		if _, err := io.WriteString(l.Conn, head(method, target, credentials...)+"\r\n"); err != nil {
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
		if response.Close {
			l.Conn.Close()
			if err := l.Dial(); err != nil {
				return err
			}
		}
		switch response.StatusCode {
		case http.StatusOK:
			return nil
		case http.StatusProxyAuthRequired:
			// MD5, so that all kinds of tasks have the same work.
			if l.Digest, err = Challenge(response, "MD5"); err != nil {
				return err
			}
			l.count = 0
			l.Challenges++
		default:
			return fmt.Errorf("status %d", response.StatusCode)
		}
	}
	return fmt.Errorf("challenged three times")
}

func (l *Loader) credentials(method, target string) ([]string, error) {
	if l.Client.Algorithm == "Basic" {
		return []string{"Proxy-Authorization: " + Basic(l.Client.User, l.Client.Password)}, nil
	}
	if l.Digest == nil {
		return nil, nil
	}
	l.count++
	line, err := l.Client.Answer(l.Digest, l.count, method, target)
	return []string{line}, err
}

// Get sends a request for the body of an origin on the open connection.
func (l *Loader) Get() error { return l.Request("GET", page) }

const page = "http://origin.example/"

// Tunnel opens a connection and a tunnel on it to the listener of StartBulk.
func (l *Loader) Tunnel() error { return l.Again("CONNECT", "origin.example:443") }

// Byte opens a tunnel, has a byte pass through it, and closes it.
func (l *Loader) Byte() error {
	if err := l.Tunnel(); err != nil {
		return err
	}
	return l.CloseTunnel()
}

// CloseTunnel has a byte pass through an open tunnel and closes it.
func (l *Loader) CloseTunnel() error {
	defer l.Conn.Close()
	if _, err := io.WriteString(l.Conn, sendNothing); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, l.reader)
	return err
}

// The byte that the listener of StartBulk waits for.
const (
	sendNothing = "0"
	sendBulk    = "1"
)

// StartBulk listens on port 443 of every address, for Loader.Tunnel and Bulk.
func StartBulk(t testing.TB) {
	t.Helper()
	block := make([]byte, 256<<10)
	Raw(t, 443, func(conn net.Conn) {
		conn.SetDeadline(time.Time{})
		order := make([]byte, 1)
		_, err := io.ReadFull(conn, order)
		for err == nil && string(order) != sendNothing {
			_, err = conn.Write(block)
		}
	})
}

// Job is what loaders do.
type Job struct {
	// begin is done by all of them before one goes on: a proxy that is busy with the first ones would
	// not get to the last.
	begin func(l *Loader) error
	// piece is done again and again. It returns how much it was, and how long it took.
	piece func(ctx context.Context, l *Loader) (amount int, took time.Duration, err error)
}

// timed is a piece of one.
func timed(piece func(l *Loader) error) func(context.Context, *Loader) (int, time.Duration, error) {
	return func(_ context.Context, l *Loader) (int, time.Duration, error) {
		begin := time.Now()
		err := piece(l)
		return 1, time.Since(begin), err
	}
}

var (
	// KeepAliveGets sends one request after the other on a connection.
	KeepAliveGets = Job{(*Loader).open, timed((*Loader).Get)}
	// NewTunnels opens one tunnel after the other, each with a byte through it.
	NewTunnels = Job{(*Loader).Byte, timed((*Loader).Byte)}
	// TLSTunnels is what clients use tunnels for: a TLS handshake and a request in each.
	TLSTunnels = Job{(*Loader).https, timed((*Loader).https)}
	// Bulk reads bytes from a tunnel.
	Bulk = Job{(*Loader).Tunnel, bulk}
)

// PacedGets sends requests on a connection at random times, on average after a pause. A request
// that has to wait for the one before takes from when it was due.
func PacedGets(pause time.Duration) Job {
	return Job{(*Loader).open, func(ctx context.Context, l *Loader) (int, time.Duration, error) {
		if l.due.IsZero() {
			l.due = time.Now()
		}
		l.due = l.due.Add(time.Duration(rand.ExpFloat64() * float64(pause)))
		select {
		case <-ctx.Done():
			return 0, 0, nil
		case <-time.After(time.Until(l.due)):
		}
		err := l.Get()
		return 1, time.Since(l.due), err
	}}
}

func (l *Loader) open() error { return l.Again("GET", page) }

func (l *Loader) https() error {
	if err := l.Again("CONNECT", "origin.example:8443"); err != nil {
		return err
	}
	secure := tls.Client(l.Conn, &tls.Config{InsecureSkipVerify: true})
	defer secure.Close()
	if _, err := io.WriteString(secure, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, secure)
	return err
}

func bulk(_ context.Context, l *Loader) (int, time.Duration, error) {
	if l.buffer == nil {
		l.buffer = make([]byte, 64<<10)
		if _, err := io.WriteString(l.Conn, sendBulk); err != nil {
			return 0, 0, err
		}
	}
	begin := time.Now()
	n, err := l.reader.Read(l.buffer)
	return n, time.Since(begin), err
}

// Loaded is what loaders did in the time that counted.
type Loaded struct {
	// Amount is the sum of the pieces, Rate the same a second.
	Amount, Rate float64
	// P50 and P99 are how long pieces took: half of them at most P50, 99 percent at most P99.
	P50, P99 time.Duration
}

// settle is how long the work of the beginning may take to be done with, for each hundred loaders.
const settle = 100 * time.Millisecond

// Load has loaders do a job at the same time, and counts for a length of it. Edge is called at the
// beginning and at the end of what counts. Load closes the loaders' connections.
func Load(loaders []*Loader, job Job, length time.Duration, edge func()) (Loaded, error) {
	errs := make([]error, len(loaders))
	var all sync.WaitGroup
	for i, l := range loaders {
		all.Go(func() { errs[i] = job.begin(l) })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return Loaded{}, fmt.Errorf("begin: %w", err)
	}

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var counting atomic.Bool
	var amount atomic.Int64
	took := make([][]time.Duration, len(loaders))
	for i, l := range loaders {
		all.Go(func() {
			defer func() { l.Conn.Close() }()
			for ctx.Err() == nil {
				n, t, err := job.piece(ctx, l)
				if err != nil {
					errs[i] = err
					return
				}
				if counting.Load() {
					amount.Add(int64(n))
					took[i] = append(took[i], t)
				}
			}
		})
	}
	time.Sleep(settle * time.Duration(1+len(loaders)/100))
	edge()
	begin := time.Now()
	counting.Store(true)
	time.Sleep(length)
	counting.Store(false)
	elapsed := time.Since(begin)
	edge()
	cancel()
	all.Wait()
	total := float64(amount.Load())
	loaded := Loaded{Amount: total, Rate: total / elapsed.Seconds()}
	if times := slices.Concat(took...); len(times) > 0 {
		slices.Sort(times)
		loaded.P50, loaded.P99 = times[len(times)/2], times[len(times)*99/100]
	}
	return loaded, errors.Join(errs...)
}
