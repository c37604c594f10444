package relay

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Host is the name under which the relay answers about itself.
const Host = "relay.squidfleet"

// maxSessions is how many sessions the status names. What is used least is forgotten first; that
// changes no session's address.
const maxSessions = 1000

// Status is what the relay says about itself. The names of its JSON are stable.
type Status struct {
	Listen      string          `json:"listen"`
	Draining    bool            `json:"draining"`
	Connections int64           `json:"connections"`
	Fleets      []FleetStatus   `json:"fleets"`
	Sessions    []SessionStatus `json:"sessions"`
}

// FleetStatus is a fleet with its ports. The first is the common one, with number 0.
type FleetStatus struct {
	Name   string `json:"name,omitempty"`
	Region string `json:"region,omitempty"`
	Proxy  string `json:"proxy"`
	User   string `json:"user,omitempty"`
	// PlaintextBasic is set if the password itself may go there without TLS.
	PlaintextBasic bool         `json:"plaintextBasic,omitempty"`
	Ports          []PortStatus `json:"ports"`
}

// PortStatus is a port with its open connections.
type PortStatus struct {
	Number int   `json:"number"`
	Port   int   `json:"port"`
	Open   int64 `json:"open"`
}

// SessionStatus is a session and where its last request went.
type SessionStatus struct {
	Session  string    `json:"session"`
	Fleet    string    `json:"fleet"`
	Number   int       `json:"number"`
	Port     int       `json:"port"`
	Open     int       `json:"open"`
	Requests int       `json:"requests"`
	Last     time.Time `json:"last"`
}

// count notes a request of a session that begins. done notes its end.
func (s *Server) count(session string, p *port) (done func()) {
	if session == "" {
		return func() {}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.sessions[session]
	if one == nil {
		s.forgetSession()
		one = &SessionStatus{Session: session}
		s.sessions[session] = one
	}
	one.Fleet, one.Number, one.Port, one.Last = p.fleet.String(), p.number, p.port, time.Now()
	one.Requests++
	one.Open++
	return func() {
		s.mu.Lock()
		one.Open--
		s.mu.Unlock()
	}
}

// forgetSession makes room for one more.
func (s *Server) forgetSession() {
	if len(s.sessions) < maxSessions {
		return
	}
	oldest := ""
	for name, one := range s.sessions {
		if oldest == "" || one.Last.Before(s.sessions[oldest].Last) {
			oldest = name
		}
	}
	delete(s.sessions, oldest)
}

// Status returns what the relay says about itself.
func (s *Server) Status() Status {
	status := Status{Listen: s.Addr().String(), Draining: s.ending.Load(), Connections: s.active.Load(),
		Sessions: []SessionStatus{}}
	for _, f := range *s.fleets.Load() {
		fs := FleetStatus{Name: f.Name, Region: f.Region, Proxy: f.Scheme + "://" + f.endpoint(), User: f.User,
			PlaintextBasic: f.PlaintextBasic}
		for _, p := range append([]*port{f.any}, f.own...) {
			fs.Ports = append(fs.Ports, PortStatus{p.number, p.port, p.open.Load()})
		}
		status.Fleets = append(status.Fleets, fs)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.sessions {
		status.Sessions = append(status.Sessions, *one)
	}
	slices.SortFunc(status.Sessions, func(a, b SessionStatus) int { return strings.Compare(a.Session, b.Session) })
	return status
}

// isOwn reports whether a request is for the relay itself: it names the relay's host, or it is one
// for a web server.
func isOwn(r *request) bool {
	if !strings.Contains(r.target, "://") {
		return true
	}
	return strings.EqualFold(strings.TrimSuffix(r.destination(), ":80"), Host)
}

var (
	errBrowser  = errors.New("the relay's status is not for web pages")
	errNotProxy = errors.New("this is a proxy, and not a web server; its status is at http://" + Host + "/")
)

// own answers a request for the relay itself. A page in a local browser must not read the answer,
// also not under a name of its own that leads to this machine.
func (c *client) own(r *request) (goesOn bool) {
	path := r.target
	if _, rest, found := strings.Cut(path, "://"); found {
		path = strings.TrimPrefix(rest, r.destination())
	}
	switch {
	case r.method != http.MethodGet && r.method != http.MethodHead:
		return c.say(r, http.StatusMethodNotAllowed, "", errNotProxy, "Allow: GET, HEAD")
	case path == "/healthz":
		// It says nothing that a page could use, and a container's check may come by any name.
		return c.reply(r, http.StatusOK, "ok\n", "Content-Type: text/plain; charset=utf-8")
	case r.get("Origin") != "" || r.get("Referer") != "" || !slices.Contains(typed, r.get("Sec-Fetch-Site")):
		return c.say(r, http.StatusForbidden, "", errBrowser)
	case !isOwnName(r):
		return c.say(r, http.StatusMisdirectedRequest, "", errNotProxy)
	case path != "/" && path != "":
		return c.say(r, http.StatusNotFound, "", errNotProxy)
	}
	text, err := json.MarshalIndent(c.s.Status(), "", "  ")
	if err != nil {
		return c.say(r, http.StatusInternalServerError, "", err)
	}
	return c.reply(r, http.StatusOK, string(text)+"\n", "Content-Type: application/json",
		"X-Content-Type-Options: nosniff", "Cross-Origin-Resource-Policy: same-origin")
}

// typed are the values of Sec-Fetch-Site for what a browser's user typed, and for other programs.
var typed = []string{"", "none", "same-origin"}

// isOwnName reports whether the request came by a name that nobody outside can give this machine.
func isOwnName(r *request) bool {
	if strings.Contains(r.target, "://") {
		return true // The client knows that this is a proxy.
	}
	host := r.get("Host")
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	if strings.EqualFold(host, Host) || strings.EqualFold(host, "localhost") {
		return true
	}
	_, err := netip.ParseAddr(host)
	return err == nil
}
