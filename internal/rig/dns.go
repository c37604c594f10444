package rig

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"

	"squidfleet/internal/must"
)

// Answer is what the DNS server says to one question about a name.
type Answer struct {
	// CNAMEs is a chain of canonical names before the addresses.
	CNAMEs []string
	// Addresses of the other family than asked for are left out.
	Addresses []netip.Addr
	TTL       int // seconds; 60 by default
	Rcode     int // dns.RcodeSuccess by default
	// Lost says that there is no answer at all.
	Lost bool
}

// DNS is a DNS server on 127.0.0.1:53 of the namespace, over UDP and TCP.
type DNS struct {
	mu      sync.Mutex
	answers map[string]func(ipv6 bool) Answer
	queries map[string]int
}

// StartDNS serves until the test ends. A name without an answer does not exist.
func StartDNS(t testing.TB) *DNS {
	t.Helper()
	d := &DNS{answers: map[string]func(ipv6 bool) Answer{}, queries: map[string]int{}}
	conn, err := net.ListenPacket("udp4", "127.0.0.1:53")
	must.OK(t, err)
	listener, err := net.Listen("tcp4", "127.0.0.1:53")
	must.OK(t, err)
	udp, tcp := &dns.Server{PacketConn: conn, Handler: d}, &dns.Server{Listener: listener, Handler: d}
	var done sync.WaitGroup
	done.Go(func() { udp.ActivateAndServe() })
	done.Go(func() { tcp.ActivateAndServe() })
	t.Cleanup(func() {
		conn.Close()
		listener.Close()
		done.Wait()
	})
	return d
}

// Set gives a name fixed addresses.
func (d *DNS) Set(name string, addresses ...string) {
	var answer Answer
	for _, a := range addresses {
		answer.Addresses = append(answer.Addresses, netip.MustParseAddr(a))
	}
	d.SetFunc(name, func(bool) Answer { return answer })
}

// SetFunc has a function answer each question about a name.
func (d *DNS) SetFunc(name string, answer func(ipv6 bool) Answer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answers[dns.CanonicalName(name)] = answer
}

// Asked counts the questions of any type about each name, in lower case and with a dot at its end.
func (d *DNS) Asked() map[string]int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.queries)
}

// ServeDNS answers one question.
func (d *DNS) ServeDNS(w dns.ResponseWriter, query *dns.Msg) {
	reply := new(dns.Msg).SetReply(query)
	question := query.Question[0]
	name := strings.ToLower(question.Name)
	d.mu.Lock()
	answer := d.answers[name]
	d.queries[name]++
	d.mu.Unlock()
	if answer == nil {
		reply.Rcode = dns.RcodeNameError
		w.WriteMsg(reply)
		return
	}
	said := answer(question.Qtype == dns.TypeAAAA)
	if said.Lost {
		return
	}
	reply.Rcode = said.Rcode
	owner := question.Name
	add := func(kind, value string) {
		record, err := dns.NewRR(fmt.Sprintf("%s %d %s %s", owner, cmp.Or(said.TTL, 60), kind, value))
		if err != nil {
			panic(err) // a test's own mistake
		}
		reply.Answer = append(reply.Answer, record)
	}
	for _, target := range said.CNAMEs {
		add("CNAME", dns.Fqdn(target))
		owner = dns.Fqdn(target)
	}
	for _, a := range said.Addresses {
		switch {
		case question.Qtype == dns.TypeA && a.Is4():
			add("A", a.String())
		case question.Qtype == dns.TypeAAAA && a.Is6():
			add("AAAA", a.String())
		}
	}
	if _, overTCP := w.RemoteAddr().(*net.TCPAddr); !overTCP {
		reply.Truncate(dns.MinMsgSize) // which has the client ask again over TCP
	}
	w.WriteMsg(reply)
}
