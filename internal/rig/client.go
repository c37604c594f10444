package rig

import (
	"bufio"
	"cmp"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/pires/go-proxyproto"
)

// Client sends requests to a task as a client behind the load balancer does.
type Client struct {
	// Task is where Squid listens.
	Task netip.AddrPort
	// From is the sender's address: the load balancer's.
	From netip.Addr
	// Header is the PROXY header, see ProxyHeader; nil sends none.
	Header *proxyproto.Header
	// URI goes into the credentials. The default is CONNECT's target, or path and query.
	URI string
	// User and Password answer a challenge. An empty user answers none.
	User, Password string
	// Algorithm chooses one of several challenges: MD5, SHA-256, or Basic. The default is the first
	// challenge.
	Algorithm string
	// Timeout is how long a connection may last. The default is 20 s.
	Timeout time.Duration
}

// DigestKey is the key of the nonces that all tasks of the tests share.
const DigestKey = "a-key-for-tests-only-0123456789-abcdefghijklmnopqrstuvwxyz"

// ProxyHeader is the PROXY v2 header that the load balancer sends for a client.
func ProxyHeader(client netip.Addr) *proxyproto.Header {
	transport, destination := proxyproto.TCPv4, netip.AddrFrom4([4]byte{192, 0, 2, 80})
	if client.Is6() {
		transport, destination = proxyproto.TCPv6, netip.MustParseAddr("2001:db8::80")
	}
	return &proxyproto.Header{
		Version: 2, Command: proxyproto.PROXY, TransportProtocol: transport,
		SourceAddr:      net.TCPAddrFromAddrPort(netip.AddrPortFrom(client, 40000)),
		DestinationAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(destination, 35201)),
	}
}

// At is the same client at another address.
func (c Client) At(address netip.Addr) Client {
	c.Header = ProxyHeader(address)
	return c
}

// LocalHeader is the PROXY v2 header of a health check (LOCAL).
func LocalHeader() *proxyproto.Header {
	return &proxyproto.Header{Version: 2, Command: proxyproto.LOCAL, TransportProtocol: proxyproto.UNSPEC}
}

const clientTimeout = 20 * time.Second

// Dial opens a connection to the task and sends the PROXY header.
func (c Client) Dial() (net.Conn, error) {
	timeout := cmp.Or(c.Timeout, clientTimeout)
	dialer := net.Dialer{Timeout: timeout}
	if c.From.IsValid() {
		dialer.LocalAddr = &net.TCPAddr{IP: c.From.AsSlice()}
	}
	conn, err := dialer.Dial("tcp", c.Task.String())
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(timeout))
	if c.Header != nil {
		if _, err := c.Header.WriteTo(conn); err != nil {
			conn.Close()
			return nil, err
		}
	}
	return conn, nil
}

// Response is an answer with its body read.
type Response struct {
	*http.Response
	Text string
}

// Request sends one request and answers a challenge on the same connection. The target has the
// form that the method needs on a proxy. Headers are lines without a line end.
func (c Client) Request(method, target string, headers ...string) (*Response, error) {
	conn, response, err := c.open(method, target, headers)
	if conn != nil {
		conn.Close()
	}
	return response, err
}

// Tunnel opens a tunnel with CONNECT. If the proxy refuses, the connection is nil.
func (c Client) Tunnel(target string) (net.Conn, *Response, error) {
	conn, response, err := c.open(http.MethodConnect, target, nil)
	if err != nil || response.StatusCode != http.StatusOK {
		if conn != nil {
			conn.Close()
		}
		return nil, response, err
	}
	conn.SetDeadline(time.Time{})
	return conn, response, nil
}

// open sends a request, answers a challenge, and returns the connection of the last answer.
func (c Client) open(method, target string, headers []string) (net.Conn, *Response, error) {
	conn, err := c.Dial()
	if err != nil {
		return nil, nil, err
	}
	reader := bufio.NewReader(conn)
	response, err := roundTrip(conn, reader, method, head(method, target, headers...))
	if err != nil || response.StatusCode != http.StatusProxyAuthRequired || c.User == "" {
		return conn, response, err
	}
	credentials, err := c.Authorization(response.Response, method, target)
	if err != nil {
		return conn, nil, err
	}
	if response.Close {
		conn.Close()
		if conn, err = c.Dial(); err != nil {
			return nil, nil, err
		}
		reader.Reset(conn)
	}
	headers = append([]string{credentials}, headers...)
	response, err = roundTrip(conn, reader, method, head(method, target, headers...))
	return conn, response, err
}

// Send opens a connection and sends the head of a request with credentials and more header lines.
func (c Client) Send(method, target string, headers ...string) (net.Conn, error) {
	credentials, err := c.Credentials(method, target)
	if err != nil {
		return nil, err
	}
	return c.Write(head(method, target, append([]string{credentials}, headers...)...) + "\r\n")
}

// Write opens a connection and sends a text on it.
func (c Client) Write(text string) (net.Conn, error) {
	conn, err := c.Dial()
	if err == nil {
		_, err = io.WriteString(conn, text)
	}
	return conn, err
}

// Exchange is Request with credentials at once, and a body, on a connection of its own.
func (c Client) Exchange(method, target, body string, headers ...string) (*Response, error) {
	conn, err := c.Send(method, target, headers...)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	io.WriteString(conn, body) // an error, if there is an answer before its end
	return Read(conn, method)
}

// head is a request's head without its last, empty line. A Host comes first, unless it is among the
// headers.
func head(method, target string, headers ...string) string {
	head := method + " " + target + " HTTP/1.1\r\n"
	isHost := func(h string) bool { return len(h) >= 5 && strings.EqualFold(h[:5], "Host:") }
	if host := hostOf(method, target); host != "" && !slices.ContainsFunc(headers, isHost) {
		head += "Host: " + host + "\r\n"
	}
	return head + strings.Join(append(headers, ""), "\r\n")
}

func hostOf(method, target string) string {
	if method == http.MethodConnect {
		return target
	}
	_, rest, _ := strings.Cut(target, "://")
	host, _, _ := strings.Cut(rest, "/")
	return host
}

func roundTrip(conn net.Conn, reader *bufio.Reader, method, head string) (*Response, error) {
	if _, err := io.WriteString(conn, head+"\r\n"); err != nil {
		return nil, err
	}
	return read(reader, method)
}

// Read reads the answer to a request of that method.
func Read(conn net.Conn, method string) (*Response, error) {
	return read(bufio.NewReader(conn), method)
}

func read(reader *bufio.Reader, method string) (*Response, error) {
	response, err := http.ReadResponse(reader, &http.Request{Method: method})
	if err != nil {
		return nil, err
	}
	if method == http.MethodConnect && response.StatusCode == http.StatusOK {
		return &Response{Response: response}, nil // the rest is the tunnel's
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	return &Response{response, string(body)}, nil
}
