package relay

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxSession is how long a session's name may be, in bytes.
const maxSession = 128

// sessionOf reads the session from a client's Proxy-Authorization; "" is none.
func sessionOf(authorization string) (string, error) {
	if authorization == "" {
		return "", nil
	}
	scheme, encoded, _ := strings.Cut(authorization, " ")
	text, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if !strings.EqualFold(scheme, "Basic") || err != nil {
		return "", errors.New("a session is the user name of Basic credentials")
	}
	name, _, _ := strings.Cut(string(text), ":")
	if len(name) > maxSession || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return "", fmt.Errorf("a session's name is text of at most %d bytes", maxSession)
	}
	return name, nil
}

// attempts is how many connections are tried for a request.
const attempts = 3

// plan lists the ports to try for a session, one after the other.
func (s *Server) plan(session string) ([]*port, error) {
	fleets := *s.fleets.Load()
	name, limit := session, ""
	if i := strings.LastIndexByte(session, '.'); i >= 0 {
		name, limit = session[:i], session[i+1:]
	}
	elsewhere := func(f *fleet) bool { return f.Name != limit && f.Region != limit }
	within := slices.DeleteFunc(slices.Clone(fleets), elsewhere)
	if limit == "" || len(within) == 0 {
		// What names no fleet belongs to the session's name.
		name, within = session, fleets
	}
	if name == "" {
		return anyPort(within, int(s.turn.Add(1))), nil
	}
	ranked := rank(within, name)
	if len(ranked) == 0 {
		return nil, errors.New("no fleet has ports of its addresses, which sessions need")
	}
	if s.o.Failover {
		return append(slices.Repeat(ranked[:1], attempts-1), ranked[1:min(len(ranked), attempts)]...), nil
	}
	return slices.Repeat(ranked[:1], attempts), nil
}

// anyPort lists fleets' common ports. Each fleet's is the first as often as it has addresses.
func anyPort(fleets []*fleet, turn int) (ports []*port) {
	var firsts []int
	for i, f := range fleets {
		firsts = append(firsts, slices.Repeat([]int{i}, max(1, len(f.own)))...)
	}
	first := firsts[turn%len(firsts)]
	for i := range max(attempts, len(fleets)) {
		ports = append(ports, fleets[(first+i)%len(fleets)].any)
	}
	return ports
}

// rank sorts the addresses' ports for a session, the session's own first.
func rank(fleets []*fleet, name string) (ports []*port) {
	sum := sha256.Sum256([]byte(name))
	session := binary.BigEndian.Uint64(sum[:])
	for _, f := range fleets {
		ports = append(ports, f.own...)
	}
	slices.SortFunc(ports, func(a, b *port) int { return cmp.Compare(mix(b.hash^session), mix(a.hash^session)) })
	return ports
}

// mix is the finalizer of SplitMix64: each bit of x changes half of the result's.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
