package rig

import (
	"io"
	"time"
)

// HostileSecret stands in each of the Hostile requests where it must not get into a log.
const HostileSecret = "s3cr3t"

// Hostile are requests that Squid has something to say about, or whose URL it does not take apart: a secret in each.
var Hostile = []string{
	// A byte that headers must not have, and a line of the access log among them.
	"GET http://origin.example/ HTTP/1.1\r\nHost: origin.example\r\nProxy-Authorization: " + HostileSecret + "\r\n\n{\"egress\":\"203.0.113.9\",\"time\":\"x\",\"method\":\"GET\",\"user\":\"" + HostileSecret + "\"}\r\nX: \x00\r\n\r\n",
	"GET http://origin.example/ HTTP/1.1\r\nHost: origin.example\r\nCookie: " + HostileSecret + "\r\nX: a\r\r\r\nY: b\r\n\r\n",
	"GET http://origin.example/ HTTP/1.1\r\nHost: origin.example\r\n" + HostileSecret + " : x\r\n\r\n",
	"GET http:///?" + HostileSecret + " HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET http://:80/?" + HostileSecret + " HTTP/1.1\r\nHost: x\r\n\r\n",
	"BREW http://origin.example/?" + HostileSecret + " HTTP/1.1\r\nHost: origin.example\r\n\r\n",
	"GET ftp://user:" + HostileSecret + "@origin.example/ HTTP/1.1\r\nHost: origin.example\r\n\r\n",
	"GET foo://user:" + HostileSecret + "@origin.example/ HTTP/1.1\r\nHost: origin.example\r\n\r\n",
	"GET http://user:" + HostileSecret + "@origin.example/ HTTP/1.1\r\nHost: origin.example\r\n\r\n",
	"GET http://user:" + HostileSecret + "@a..b/ HTTP/1.1\r\nHost: a..b\r\n\r\n",
	"GET http:///user:" + HostileSecret + "@origin.example/ HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET http:\\\\user:" + HostileSecret + "@origin.example/ HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET urn:x?" + HostileSecret + " HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET http://origin.example/#" + HostileSecret + " HTTP/1.1\r\nHost: origin.example\r\n\r\n",
	"GET /?" + HostileSecret + " HTTP/1.1\r\nHost: origin.example\r\n\r\n",
	"CONNECT origin.example:443?" + HostileSecret + " HTTP/1.1\r\nHost: origin.example\r\n\r\n",
	"CONNECT user:" + HostileSecret + "@origin.example:443 HTTP/1.1\r\nHost: origin.example\r\n\r\n",
	"CONNECT origin.example:443/#" + HostileSecret + " HTTP/1.1\r\nHost: origin.example\r\n\r\n",
	"GET http://origin.example/?" + HostileSecret + " HTTP/1.1\r\nHost: other.example\r\nHost: third.example\r\n\r\n",
	"GET http://origin.example/?" + HostileSecret + " HTTP/1.1\r\nHost: origin.example\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
	"GET http://origin.example/?" + HostileSecret + " HTTP/1.1\r\nHost: origin.example\r\nTransfer-Encoding: " + HostileSecret + "\r\n\r\n",
}

// SendHostile sends each of them over a connection of its own.
func (c Client) SendHostile() error {
	for _, request := range Hostile {
		conn, err := c.Dial()
		if err != nil {
			return err
		}
		io.WriteString(conn, request)
		conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		io.Copy(io.Discard, conn)
		conn.Close()
	}
	return nil
}
