package rig

import (
	"io"
	"strings"
	"time"
)

// HeadersAboutToBeTooLong is an incomplete request, a little shorter than Squid allows.
var HeadersAboutToBeTooLong = "GET http://origin.example/ HTTP/1.1\r\nCookie: " + strings.Repeat("y", 17_000)

// HostileSecret is in each of the Hostile requests and must not get into a log.
const HostileSecret = "s3cr3t"

// Hostile are requests that make Squid write a message, or whose URL Squid does not parse.
var Hostile = []string{
	// A byte that headers must not have, and a forged line of the access log.
	get("http://origin.example/", "origin.example", "Proxy-Authorization: "+HostileSecret,
		"\n{\"egress\":\"203.0.113.9\",\"time\":\"x\",\"method\":\"GET\",\"user\":\""+HostileSecret+"\"}", "X: \x00"),
	get("http://origin.example/", "origin.example", "Cookie: "+HostileSecret, "X: a\r\r", "Y: b"),
	get("http://origin.example/", "origin.example", HostileSecret+" : x"),
	get("http:///?"+HostileSecret, "x"),
	get("http://:80/?"+HostileSecret, "x"),
	get("ftp://user:"+HostileSecret+"@origin.example/", "origin.example"),
	get("foo://user:"+HostileSecret+"@origin.example/", "origin.example"),
	get("http://user:"+HostileSecret+"@origin.example/", "origin.example"),
	get("http://user:"+HostileSecret+"@a..b/", "a..b"),
	get("http:///user:"+HostileSecret+"@origin.example/", "x"),
	get("http:\\\\user:"+HostileSecret+"@origin.example/", "x"),
	get("urn:x?"+HostileSecret, "x"),
	get("http://origin.example/#"+HostileSecret, "origin.example"),
	get("/?"+HostileSecret, "origin.example"),
	get("http://origin.example/?"+HostileSecret, "other.example", "Host: third.example"),
	get("http://origin.example/?"+HostileSecret, "origin.example", "Content-Length: 1", "Content-Length: 2") + "x",
	get("http://origin.example/?"+HostileSecret, "origin.example", "Transfer-Encoding: "+HostileSecret),
	request("BREW", "http://origin.example/?"+HostileSecret, "origin.example"),
	request("CONNECT", "origin.example:443?"+HostileSecret, "origin.example"),
	request("CONNECT", "user:"+HostileSecret+"@origin.example:443", "origin.example"),
	request("CONNECT", "origin.example:443/#"+HostileSecret, "origin.example"),
}

func get(target, host string, lines ...string) string { return request("GET", target, host, lines...) }

func request(method, target, host string, lines ...string) string {
	return method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\n" + strings.Join(append(lines, "", ""), "\r\n")
}

// SendHostile sends each of the Hostile requests over a new connection.
func (c Client) SendHostile() error {
	for _, request := range Hostile {
		conn, err := c.Write(request)
		if conn == nil {
			return err
		}
		conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		io.Copy(io.Discard, conn)
		conn.Close()
	}
	return nil
}
