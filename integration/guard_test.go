package integration

import (
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"

	"squidfleet/internal/rig"
	"squidfleet/squid"
)

// lateAnswer is how much later than its IPv4 address the DNS server tells late6.example's IPv6
// address.
const lateAnswer = 150 * time.Millisecond

// cutOff stands for no answer at all: the connection ends without one.
const cutOff = 0

type person struct {
	name   string
	change func(c *rig.Client)
	// always is the status of whatever is asked for, or asItSays.
	always int
}

const asItSays = -3

// elsewhere is another allowed address at each call, because guesses from one have to wait.
func elsewhere() *proxyproto.Header {
	addresses++
	high, low := byte(addresses>>8), byte(addresses)
	return rig.ProxyHeader(netip.AddrFrom16([16]byte{0: 0x26, 1: 0, 2: 0x17, 3: 0, 5: 1, 6: high, 7: low, 15: 7}))
}

var addresses int

var (
	alice  = person{"alice", func(*rig.Client) {}, asItSays}
	people = []person{
		{"alice over IPv6", func(c *rig.Client) { c.Header = rig.ProxyHeader(insiderIPv6) }, asItSays},
		{"bob", func(c *rig.Client) { c.User, c.Password, c.Algorithm = "bob", "another password", "" }, asItSays},
		{"no credentials", func(c *rig.Client) { c.User = "" }, 407},
		{"wrong password", func(c *rig.Client) { c.Header, c.Password = elsewhere(), "wrong password" }, 407},
		{"unknown user", func(c *rig.Client) { c.Header, c.User = elsewhere(), "mallory" }, 407},
		{"another user's password",
			func(c *rig.Client) { c.Header, c.Password = elsewhere(), "another password" }, 407},
		{"outside clientCidrs", func(c *rig.Client) { c.Header = rig.ProxyHeader(outsider) }, cutOff},
		{"outside clientCidrs, no credentials",
			func(c *rig.Client) { c.Header, c.User = rig.ProxyHeader(outsider), "" }, cutOff},
		{"health check", func(c *rig.Client) { c.Header = rig.LocalHeader() }, cutOff},
		{"claims to be the load balancer",
			func(c *rig.Client) { c.Header = rig.ProxyHeader(loadBalancer) }, cutOff},
		{"no PROXY header", func(c *rig.Client) { c.Header = nil }, cutOff},
		{"header from elsewhere in the VPC", func(c *rig.Client) { c.From = neighbour }, cutOff},
		{"header from the client itself", func(c *rig.Client) { c.From = insider }, cutOff},
		{"header from the task itself", func(c *rig.Client) { c.From = c.Task.Addr() }, cutOff},
	}
)

type cell struct {
	who            person
	method, target string
	status         int
}

// cells is the matrix: alice with everything, everybody else with what matters most.
func cells(t *testing.T, auth squid.Auth) []cell {
	t.Helper()
	var out []cell
	add := func(who person, d destination) {
		status := d.status
		if who.always != asItSays && (who.always != 407 || auth.Passwords()) {
			status = who.always
		}
		out = append(out, cell{who, "GET", "http://" + d.host + "/", status})
		out = append(out, cell{who, "CONNECT", d.host + ":443", status})
	}
	for _, list := range [][]destination{literals, names, registryAddresses(t), aroundMapped()} {
		for _, d := range list {
			add(alice, d)
		}
	}
	for _, r := range requests {
		out = append(out, cell{alice, r.method, r.target, r.status})
	}
	for _, who := range people {
		for _, d := range []destination{
			{"origin.example", served}, {"127.0.0.1", refused}, {"169.254.170.2", refused},
			{"[::ffff:a9fe:a9fe]", refused}, {"metadata.example", refused}, {"private6.example", refused},
			{"nowhere.example", noAddress},
		} {
			add(who, d)
		}
	}
	return out
}

// world is the internet of these tests.
type world struct {
	names   *rig.DNS
	origins *rig.Origins
	// opened may be reached beside the public addresses.
	opened []netip.AddrPort
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{names: rig.StartDNS(t), origins: rig.StartOrigins(t, []int{80, 22, 8080, 25}, []int{443, 35443})}
	setNames(w.names)
	w.origins.SetHandler(http.HandlerFunc(w.answer))
	return w
}

// answer is a destination's: for two names it is no HTTP, or nothing at all.
func (w *world) answer(rw http.ResponseWriter, r *http.Request) {
	host := strings.TrimSuffix(r.Host, ":80")
	if host != "garbage.example" && host != "closing.example" {
		w.origins.Hello(rw, r)
		return
	}
	conn, _, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		return
	}
	if host == "garbage.example" {
		io.WriteString(conn, "HTTP/1.1 what is this\r\n\x00\xff\r\n\r\n")
	}
	conn.Close()
}

// run sends one cell's request, and returns whether everything came as expected.
func (w *world) run(wrong rig.Wrong, task *squidTask, c cell) (right bool) {
	w.origins.Forget()
	who := client(task)
	c.who.change(&who)
	response, err := who.Request(c.method, c.target)
	// Squid writes an address its own way, and the fleet's helper compares the credentials with that:
	// an attacker would sign that form.
	challenged := err == nil && response.StatusCode == http.StatusProxyAuthRequired
	if plain := plainTarget(c.target); c.method == "CONNECT" && plain != c.target && challenged {
		who.URI = plain
		response, err = who.Request(c.method, c.target)
	}
	status := code(response, err)
	right = status == c.status || c.status == notServed && status >= 400 || c.status == publicOnly
	if !right {
		wrong("%s: %s %s: status %d, %v, want %d", c.who.name, c.method, c.target, status, err, c.status)
	}
	if c.method == "CONNECT" && status == served {
		w.origins.AwaitConnection()
	}
	for to, count := range w.origins.Reached() {
		if c.status != served && c.status != publicOnly || !w.mayBeReached(to) {
			right = false
			wrong("%s: %s %s: %s was reached %d times", c.who.name, c.method, c.target, to, count)
		}
	}
	return right
}

// plainTarget writes the address in a CONNECT target, if it is one, the way Squid does.
func plainTarget(target string) string {
	host, port, err := net.SplitHostPort(target)
	if err != nil {
		return target
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return net.JoinHostPort(a.String(), port)
	}
	// As inet_aton does: numbers, decimal, octal or hexadecimal, of which the last fills what is left.
	var bits uint32
	parts := strings.Split(host, ".")
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 0, 32)
		if err != nil {
			return target
		}
		if i < len(parts)-1 {
			n <<= 24 - 8*i
		}
		bits |= uint32(n)
	}
	return net.JoinHostPort(netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, bits))).String(), port)
}

func (w *world) mayBeReached(to netip.AddrPort) bool {
	return isPublic(to) || slices.Contains(w.opened, to)
}

// checkEver fails the test if a connection was made to what must not be reached, however late it
// came.
func (w *world) checkEver(t *testing.T) {
	t.Helper()
	for to, count := range w.origins.EverReached(t) {
		if !w.mayBeReached(to) {
			t.Errorf("%s was reached %d times", to, count)
		}
	}
}

func isPublic(to netip.AddrPort) bool {
	public := to.Addr() == publicIPv4 || to.Addr() == publicIPv6 || to.Addr() == otherPublic
	return public && (to.Port() == 80 || to.Port() == 443)
}

// A name can carry a message to its DNS server: none is looked up for somebody without a password.
func TestNoNameIsLookedUpForNobody(t *testing.T) {
	w := newWorld(t)
	task := startTask(t, options(nil))
	var known []string
	for i, who := range people {
		for method, target := range map[string]string{"GET": "http://%s/", "CONNECT": "%s:443"} {
			name := fmt.Sprintf("person-%d-%s.example", i, strings.ToLower(method))
			c := client(task)
			who.change(&c)
			c.Request(method, fmt.Sprintf(target, name))
			if who.always == asItSays {
				known = append(known, name+".")
			}
		}
	}
	// What has been asked before this has arrived when this is answered.
	statusOf(client(task))
	asked := slices.Sorted(maps.Keys(w.names.Asked()))
	if want := slices.Sorted(slices.Values(append(known, "origin.example."))); !slices.Equal(asked, want) {
		t.Errorf("names looked up:\n%s\nwant:\n%s", strings.Join(asked, "\n"), strings.Join(want, "\n"))
	}
}
