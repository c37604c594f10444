package rig

import (
	"bufio"
	"cmp"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/icholy/digest"
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
	response, err := roundTrip(conn, reader, method, target, headers)
	if err != nil || response.StatusCode != http.StatusProxyAuthRequired || c.User == "" {
		return conn, response, err
	}
	authorization, err := c.Authorization(response.Response, method, target)
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
	response, err = roundTrip(conn, reader, method, target, append([]string{authorization}, headers...))
	return conn, response, err
}

// Authorization is the header line that answers the challenge of a 407.
func (c Client) Authorization(challenge *http.Response, method, target string) (string, error) {
	chal, err := c.choose(challenge.Header.Values("Proxy-Authenticate"))
	if err != nil {
		return "", err
	}
	if chal == nil {
		return "Proxy-Authorization: " + Basic(c.User, c.Password), nil
	}
	uri := c.URI
	if uri == "" {
		uri = target
		if _, rest, isURL := strings.Cut(target, "://"); isURL && method != http.MethodConnect {
			uri = "/"
			if i := strings.IndexAny(rest, "/?"); i >= 0 {
				uri = rest[i:]
			}
		}
	}
	credentials, err := digest.Digest(chal,
		digest.Options{Method: method, URI: uri, Count: 1, Username: c.User, Password: c.Password})
	if err != nil {
		return "", err
	}
	return "Proxy-Authorization: " + credentials.String(), nil
}

// Basic is the value of a header with Basic credentials.
func Basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// choose picks the challenge to answer; nil is Basic.
func (c Client) choose(challenges []string) (*digest.Challenge, error) {
	for _, text := range challenges {
		if strings.HasPrefix(text, "Basic ") {
			if c.Algorithm == "" || c.Algorithm == "Basic" {
				return nil, nil
			}
			continue
		}
		challenge, err := digest.ParseChallenge(text)
		if err != nil {
			return nil, fmt.Errorf("challenge %q: %w", text, err)
		}
		if c.Algorithm == "" || strings.EqualFold(cmp.Or(challenge.Algorithm, "MD5"), c.Algorithm) {
			return challenge, nil
		}
	}
	return nil, fmt.Errorf("no challenge that can be answered among %q", challenges)
}

func roundTrip(conn net.Conn, reader *bufio.Reader, method, target string, headers []string) (*Response, error) {
	head := method + " " + target + " HTTP/1.1\r\n"
	isHost := func(h string) bool { return len(h) >= 5 && strings.EqualFold(h[:5], "Host:") }
	if host := hostOf(method, target); host != "" && !slices.ContainsFunc(headers, isHost) {
		head += "Host: " + host + "\r\n"
	}
	for _, h := range headers {
		head += h + "\r\n"
	}
	if _, err := io.WriteString(conn, head+"\r\n"); err != nil {
		return nil, err
	}
	response, err := http.ReadResponse(reader, &http.Request{Method: method})
	if err != nil {
		return nil, err
	}
	if method == http.MethodConnect && response.StatusCode == http.StatusOK {
		return &Response{Response: response}, nil
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	return &Response{Response: response, Text: string(body)}, nil
}

func hostOf(method, target string) string {
	if method == http.MethodConnect {
		return target
	}
	_, rest, found := strings.Cut(target, "://")
	if !found {
		return ""
	}
	host, _, _ := strings.Cut(rest, "/")
	return host
}
