package integration

import (
	"bufio"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/icholy/digest"

	"squidfleet/internal/rig"
)

// loader is a client as cheap as possible, so that a benchmark measures the proxy.
type loader struct {
	client rig.Client
	tasks  []*squidTask // taken in turn
	next   int
	conn   net.Conn
	reader *bufio.Reader
	nonce  string
	count  int
}

func (l *loader) dial() (err error) {
	l.client.Task = l.tasks[l.next%len(l.tasks)].Addr
	l.next++
	if l.conn, err = l.client.Dial(); err != nil {
		return err
	}
	if l.reader == nil {
		l.reader = bufio.NewReader(l.conn)
	} else {
		l.reader.Reset(l.conn)
	}
	return nil
}

func sum(parts ...string) string {
	hash := md5.Sum([]byte(strings.Join(parts, ":")))
	return hex.EncodeToString(hash[:])
}

// request sends one request under the current nonce, answers a challenge, and reads the answer.
// The bytes of a tunnel are left unread.
func (l *loader) request(method, target, uri string) error {
	for range 3 {
		head := method + " " + target + " HTTP/1.1\r\nHost: origin.example\r\n"
		if l.nonce != "" {
			l.count++
			head += answer(l.nonce, fmt.Sprintf("%08x", l.count), method, uri) + "\r\n"
		}
		if _, err := io.WriteString(l.conn, head+"\r\n"); err != nil {
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
			l.nonce, l.count = challenge.Nonce, 0
			if response.Close {
				l.conn.Close()
				if err := l.dial(); err != nil {
					return err
				}
			}
		default:
			return fmt.Errorf("status %d", response.StatusCode)
		}
	}
	return fmt.Errorf("challenged three times")
}

// together runs a job on all workers for a round and adds up the amounts done.
func together(tasks []*squidTask, job func(l *loader, over func() bool) (float64, error)) (float64, error) {
	end := time.Now().Add(roundTime)
	var total, failed atomic.Int64
	var first atomic.Value
	var all sync.WaitGroup
	for i := range workers {
		all.Go(func() {
			l := &loader{client: client(tasks[0]), tasks: tasks, next: i}
			l.client.Header = rig.ProxyHeader(netip.AddrFrom4([4]byte{198, 51, 100, byte(100 + i)}))
			amount, err := job(l, func() bool { return time.Now().After(end) })
			total.Add(int64(amount * 1000))
			if err != nil && failed.Add(1) == 1 {
				first.Store(err)
			}
		})
	}
	all.Wait()
	if failed.Load() > 0 {
		return 0, first.Load().(error)
	}
	return float64(total.Load()) / 1000, nil
}

func keepAliveGets(tasks []*squidTask) (float64, error) {
	return together(tasks, func(l *loader, over func() bool) (done float64, err error) {
		if err := l.dial(); err != nil {
			return 0, err
		}
		defer l.conn.Close()
		for !over() {
			if err := l.request("GET", "http://origin.example/", "/"); err != nil {
				return done, err
			}
			done++
		}
		return done, nil
	})
}

func newTunnels(tasks []*squidTask) (float64, error) {
	return together(tasks, func(l *loader, over func() bool) (done float64, err error) {
		for !over() {
			if err := l.dial(); err != nil {
				return done, err
			}
			if err := l.request("CONNECT", "origin.example:443", "origin.example:443"); err != nil {
				return done, err
			}
			if _, err := io.WriteString(l.conn, "0"); err != nil { // send nothing
				return done, err
			}
			io.Copy(io.Discard, l.reader)
			l.conn.Close()
			done++
		}
		return done, nil
	})
}

func bulk(tasks []*squidTask) (float64, error) {
	return together(tasks, func(l *loader, over func() bool) (done float64, err error) {
		if err := l.dial(); err != nil {
			return 0, err
		}
		defer l.conn.Close()
		if err := l.request("CONNECT", "origin.example:443", "origin.example:443"); err != nil {
			return 0, err
		}
		if _, err := io.WriteString(l.conn, "1"); err != nil { // send without an end
			return 0, err
		}
		buffer := make([]byte, 256<<10)
		bytes := 0
		for !over() {
			n, err := l.reader.Read(buffer)
			if err != nil {
				return 0, err
			}
			bytes += n
		}
		return float64(bytes) / 1e6, nil
	})
}

// startBulk listens on port 443 of every address. It answers "0" with nothing and all else with
// endless bytes.
func startBulk(b *testing.B) {
	b.Helper()
	listener, err := net.Listen("tcp", ":443")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { listener.Close() })
	go func() {
		block := make([]byte, 256<<10)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				order := make([]byte, 1)
				if _, err := io.ReadFull(conn, order); err != nil || order[0] == '0' {
					return
				}
				for {
					if _, err := conn.Write(block); err != nil {
						return
					}
				}
			}()
		}
	}()
}
