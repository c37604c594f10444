package rotation

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"squidfleet/internal/rig"
)

// exchangeTimeout is how long a client waits for anything: nothing here takes half of it.
const exchangeTimeout = 10 * time.Second

// client is one client of the fleet. It answers each connection's Digest challenge anew, as native
// Digest needs: a task knows only its own nonces.
type client struct {
	number int // of the address whose port it uses; anyAddress at the common port
	proxy  rig.Client
	origin string // address and port
	ledger *ledger
}

// anyAddress stands for the common port.
const anyAddress = 0

// connection is a client's connection to the load balancer. Its egress is known from its first
// answer. Until then, any error is a new connection that failed.
type connection struct {
	net.Conn
	visit
	reader    *bufio.Reader
	challenge *http.Response
}

// exchange sends a request, with credentials if they were asked for, and returns the answer with
// its body unread.
func (c client) exchange(conn *connection, method, target string) (*http.Response, error) {
	for {
		conn.SetDeadline(time.Now().Add(exchangeTimeout))
		head := method + " " + target + " HTTP/1.1\r\nHost: " + c.origin + "\r\n"
		if conn.challenge != nil {
			authorization, err := c.proxy.Authorization(conn.challenge, method, target)
			if err != nil {
				return nil, err
			}
			head += authorization + "\r\n"
		}
		if _, err := io.WriteString(conn, head+"\r\n"); err != nil {
			return nil, err
		}
		response, err := http.ReadResponse(conn.reader, &http.Request{Method: method})
		if err != nil {
			return nil, err
		}
		if response.StatusCode == http.StatusOK {
			return response, nil
		}
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			return nil, err
		}
		if response.StatusCode != http.StatusProxyAuthRequired || conn.challenge != nil {
			return nil, fmt.Errorf("%s %s: %s", method, target, response.Status)
		}
		conn.challenge = response
	}
}

// get is a plain request through the proxy. It sets the connection's egress.
func (c client) get(conn *connection, path string) error {
	response, err := c.exchange(conn, http.MethodGet, "http://"+c.origin+path)
	if err != nil {
		return err
	}
	if conn.egress, err = netip.ParseAddr(response.Header.Get(egressHeader)); err != nil {
		return err
	}
	conn.SetDeadline(time.Now().Add(exchangeTimeout))
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

// tunnel opens a tunnel and an echo at its end.
func (c client) tunnel(conn *connection) error {
	if _, err := c.exchange(conn, http.MethodConnect, c.origin); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, "GET "+pathEcho+" HTTP/1.1\r\nHost: "+c.origin+"\r\n\r\n"); err != nil {
		return err
	}
	line, err := conn.reader.ReadString('\n')
	if err != nil {
		return err
	}
	conn.egress, err = netip.ParseAddr(strings.TrimSuffix(line, "\n"))
	return err
}

const ping = "ping\n"

// echo sends something through a tunnel and expects it back.
func (c client) echo(conn *connection) error {
	conn.SetDeadline(time.Now().Add(exchangeTimeout))
	if _, err := io.WriteString(conn, ping); err != nil {
		return err
	}
	line, err := conn.reader.ReadString('\n')
	if err == nil && line != ping {
		err = fmt.Errorf("the tunnel returned %q", line)
	}
	return err
}

// habit is what a kind of client does with a connection: first makes it useful, and each call of
// again uses it once more. A connection without again is closed after the first.
type habit struct {
	name  string
	first func(client, *connection) error
	again func(client, *connection) error
	pause time.Duration // after each use
}

var habits = []struct {
	habit
	common, own int // clients at the common port, and at that of each address
}{
	{habit{"keep-alive GET", getOf(pathAddress), getOf(pathAddress), 50 * time.Millisecond}, 4, 1},
	{habit{"new CONNECT", tunnelOnce, nil, 50 * time.Millisecond}, 4, 1},
	{habit{"long tunnel", client.tunnel, client.echo, 100 * time.Millisecond}, 4, 2},
	{habit{"large transfer", getOf(pathLarge), nil, 10 * time.Millisecond}, 3, 1},
}

func getOf(path string) func(client, *connection) error {
	return func(c client, conn *connection) error { return c.get(conn, path) }
}

func tunnelOnce(c client, conn *connection) error { return errors.Join(c.tunnel(conn), c.echo(conn)) }

// live uses the fleet until ctx ends, one connection after the other. It finishes each use that
// has begun.
func (c client) live(ctx context.Context, h habit) {
	for ctx.Err() == nil {
		conn := &connection{visit: visit{number: c.number, habit: h.name, opened: time.Now()}}
		if err := c.use(ctx, h, conn); err != nil {
			c.ledger.note(func() { c.ledger.losses = append(c.ledger.losses, loss{conn.visit, time.Now(), err}) })
			// A client that is refused at once would otherwise count the same refusal a thousand
			// times.
			time.Sleep(20 * time.Millisecond)
		}
	}
}

func (c client) use(ctx context.Context, h habit, conn *connection) (err error) {
	if conn.Conn, err = c.proxy.Dial(); err != nil {
		return err
	}
	defer conn.Close()
	conn.reader = bufio.NewReader(conn)
	if err := h.first(c, conn); err != nil {
		return err
	}
	c.ledger.note(func() {
		conn.answered = time.Now()
		c.ledger.visits = append(c.ledger.visits, conn.visit)
	})
	for {
		c.ledger.note(func() { c.ledger.uses[h.name]++ })
		select {
		case <-time.After(h.pause):
		case <-ctx.Done():
			return nil
		}
		if h.again == nil {
			return nil
		}
		if err := h.again(c, conn); err != nil {
			return err
		}
	}
}
