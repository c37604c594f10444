package relay

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Fleet is a fleet as its clients see it.
type Fleet struct {
	// Name and Region limit a session to the fleet. Both may be empty. Fleets with the same name
	// must be in different regions.
	Name, Region string
	// Scheme is "http" or "https": how the connection to the fleet is made.
	Scheme string
	// Host is the load balancer's name or address.
	Host string
	// Port leads to any address.
	Port int
	// Addresses are those with a port of their own. Without any, the fleet has no sessions.
	Addresses []Address
	// User and Password are the credentials. Without a user none are sent.
	User, Password string
	// PlaintextBasic lets the password itself go to the fleet without TLS.
	PlaintextBasic bool
}

// Address is one egress address of a fleet.
type Address struct {
	// Number is the address's, from 1 on.
	Number int
	// Port leads to this address only.
	Port int
}

// maxAddresses is how many addresses with a port a load balancer can have.
const maxAddresses = 49

// ParseFleet reads a fleet from http://USER@HOST:PORT, or https. The query may have "addresses",
// how many of them have the ports behind PORT, and "name".
func ParseFleet(text string) (f Fleet, err error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" ||
		strings.Trim(u.Path, "/")+u.Fragment != "" {
		// url's error would repeat a password.
		return f, errors.New("is not a URL such as http://USER@HOST:PORT")
	}
	if _, has := u.User.Password(); has {
		return f, errors.New("has a password in it, which other users of the machine can see; " +
			"give it in SQUIDFLEET_PASSWORD or with --password-file")
	}
	f = Fleet{Scheme: u.Scheme, Host: u.Hostname(), User: u.User.Username()}
	if f.Port, err = strconv.Atoi(u.Port()); err != nil || f.Port < 1 || f.Port > 65535 {
		return f, errors.New("has no port from 1 to 65535")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return f, fmt.Errorf("has a query that cannot be read: %w", err)
	}
	for key, values := range query {
		switch {
		case len(values) > 1:
			return f, fmt.Errorf("has %q more than once", key)
		case key == "name":
			f.Name = values[0]
		case key == "addresses":
			n, err := strconv.Atoi(values[0])
			if most := min(maxAddresses, 65535-f.Port); err != nil || n < 0 || n > most {
				return f, fmt.Errorf("has addresses=%s, which is not from 0 to %d", values[0], most)
			}
			for k := range n {
				f.Addresses = append(f.Addresses, Address{Number: k + 1, Port: f.Port + k + 1})
			}
		default:
			return f, fmt.Errorf("has %q in its query; there are addresses and name", key)
		}
	}
	return f, nil
}

// id is the fleet's part of the hash that gives sessions their addresses.
func (f *Fleet) id() string {
	if f.Name != "" {
		return f.Name + "/" + f.Region
	}
	return f.endpoint()
}

// endpoint is host and port.
func (f *Fleet) endpoint() string { return net.JoinHostPort(f.Host, strconv.Itoa(f.Port)) }

// String names the fleet for people.
func (f *Fleet) String() string {
	if f.Region != "" && f.Name != "" {
		return f.Name + " in " + f.Region
	}
	return cmp.Or(f.Name, f.endpoint())
}

// fleet is a fleet in use.
type fleet struct {
	Fleet
	login  *login
	dialer interface {
		DialContext(ctx context.Context, network, address string) (net.Conn, error)
	}
	any *port
	own []*port // of the addresses

	mu      sync.Mutex
	found   []netip.Addr // of Host
	expires time.Time
	turn    int
}

// port is a port of a fleet's load balancer.
type port struct {
	fleet  *fleet
	number int // of the address; 0 leads to any
	port   int
	hash   uint64
	open   atomic.Int64 // connections
}

// newFleet prepares a fleet. One that is in use goes on, and one that has changed keeps its login
// if that is the same.
func (s *Server) newFleet(f Fleet, old []*fleet) *fleet {
	if i := slices.IndexFunc(old, func(o *fleet) bool { return reflect.DeepEqual(o.Fleet, f) }); i >= 0 {
		return old[i]
	}
	dialer := &net.Dialer{Timeout: dialTimeout}
	here := &fleet{Fleet: f, dialer: dialer}
	if f.Scheme == "https" {
		here.dialer = &tls.Dialer{NetDialer: dialer, Config: &tls.Config{ServerName: f.Host, RootCAs: s.o.Roots,
			MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(64)}}
	}
	here.any = &port{fleet: here, port: f.Port}
	for _, a := range f.Addresses {
		sum := sha256.Sum256(fmt.Appendf(nil, "%s/%d", f.id(), a.Number))
		here.own = append(here.own,
			&port{fleet: here, number: a.Number, port: a.Port, hash: binary.BigEndian.Uint64(sum[:])})
	}
	here.login = &login{user: f.User, password: f.Password,
		basic: f.Scheme == "https" || f.PlaintextBasic || isLoopback(f.Host)}
	for _, o := range old {
		if o.id() == f.id() && o.endpoint() == f.endpoint() && o.User == f.User && o.Password == f.Password &&
			o.login.basic == here.login.basic {
			here.login = o.login
		}
	}
	return here
}

func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// namesLive is how long addresses of a name are used: a load balancer's zones come and go slowly,
// and a resolver in a VPC takes about a thousand questions a second.
const namesLive = 10 * time.Second

// addresses are the load balancer's, beginning with another one each time.
func (f *fleet) addresses(ctx context.Context) (all []netip.Addr, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Now().After(f.expires) {
		// A machine without IPv6 must not try it first.
		for _, network := range []string{"ip4", "ip6"} {
			if all, err = net.DefaultResolver.LookupNetIP(ctx, network, f.Host); err == nil {
				break
			}
		}
		if err != nil {
			return nil, err
		}
		f.found, f.expires = all, time.Now().Add(namesLive)
	}
	f.turn++
	at := f.turn % len(f.found)
	return slices.Concat(f.found[at:], f.found[:at]), nil
}

// forget has the next connection look the name up again.
func (f *fleet) forget() {
	f.mu.Lock()
	f.expires = time.Time{}
	f.mu.Unlock()
}
