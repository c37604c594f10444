package integration

import (
	"cmp"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	digests "github.com/icholy/digest"

	ranges "squidfleet/destination"
	"squidfleet/internal/must"
	"squidfleet/internal/rig"
	"squidfleet/squid"
)

// A subject is a task that is looked at, in its world. A trial has the options of a task instead.
type subject struct {
	t       *testing.T
	w       *world
	wrong   rig.Wrong
	task    *squidTask
	options taskOptions
}

// A look is a check of a task.
type look struct {
	name  string
	check func(s subject)
}

// looks are the checks of a task, the quickest first. But one whose first word the line holds comes
// before them.
func looks(task *squidTask, line string) []look {
	out := []look{
		{"log", checkLog}, // before many challenges have their lines left out
		{"challenge", checkChallenges},
		{"health", checkHealthPort},
		{"header_access anonymity", checkAnonymity},
		{"Proxy-Status", checkStatus},
		{"persistent", func(s subject) {
			rig.CheckSharing(s.t, s.wrong, client(s.task), bob(s.task), scratchTarget)
		}},
		{"parameters", checkParameters},
		{"cache", checkCache},
		{"pinger", checkPinger},
		{"matrix", checkMatrix},
		{"crowd", checkCrowd},
	}
	switch {
	case !task.Params.Auth.Passwords():
	case task.Params.Digest == squid.DigestFleet:
		out = append(out, look{"guessing", checkGuessing})
	default:
		out = append(out, look{"nonce", checkNonce})
	}
	out = append(out, look{"Proxy-Status forgery", checkForgeries})
	slices.SortStableFunc(out, func(a, b look) int {
		named := func(l look) int { return strings.Count(line, strings.Fields(l.name)[0]) }
		return cmp.Compare(named(b), named(a))
	})
	return out
}

// problems are what a check finds.
func (s subject) problems(check func(s subject)) []string {
	return rig.Found(func(wrong rig.Wrong) {
		s.wrong = wrong
		check(s)
	})
}

// checkMatrix ends at the first cell that has a problem.
func checkMatrix(s subject) {
	for _, c := range cells(s.t, s.task.Params.Auth) {
		if !s.w.run(s.wrong, s.task, c) {
			return
		}
	}
}

// lookedAt are the options of tasks that the looks are for. The VPC is among the clients, as for an
// office connected to it. So the rule that keeps the load balancer's own connections out is needed.
func lookedAt(m mode) taskOptions {
	return options(m.with(map[string]any{
		"httpPorts": "80,81,83", "connectPorts": "443,80,444",
		"clientCidrs": "198.51.100.0/24,2600:1700:1::/48,10.0.0.0/16",
	}))
}

// A task as it is has no problem, while another user is served, except for the look at the log.
func TestEveryLookIsGood(t *testing.T) {
	inModes(t, modes, func(t *testing.T, m mode) {
		w := newWorld(t)
		o := lookedAt(m)
		o.Context["httpPorts"] = fmt.Sprint(o.Context["httpPorts"], ",82,35201,35202") // two of them the proxy's own
		task := startTask(t, o)
		all := append(looks(task, ""), look{"busy user", checkBusyUser})
		if !m.is("none") { // A request that no frame covers is nobody's there as well.
			all = append(all, look{"framing", func(s subject) {
				rig.CheckFraming(s.t, s.wrong, client(s.task), scratchTarget)
			}})
		}
		for _, look := range all {
			t.Run(look.name, func(t *testing.T) {
				if look.name != "log" {
					rig.Beside(t, bob(task), besideTarget)
				}
				look.check(subject{t: t, w: w, wrong: t.Errorf, task: task})
			})
		}
		w.checkEver(t)
	})
}

// checkBusyUser counts requests with a wrong password that are served while its user is. Squid's
// own Digest lets most of them in: it notes for the user, not the request, that a password was
// right.
func checkBusyUser(s subject) {
	c, in := bob(s.task), 0
	c.Password = "wrong password"
	for range 20 {
		c.Header = elsewhere()
		if statusOf(c) == served {
			in++
		}
	}
	says := fmt.Sprintf("%d of 20 wrong passwords of a busy user were let in", in)
	if s.task.Params.Digest == squid.DigestSquid {
		s.t.Log(says)
	} else if in > 0 && s.task.Params.Auth.Passwords() {
		s.wrong("%s", says)
	}
}

// Where answers do not come from the world's origins, but from the rig's.
const (
	besideTarget  = "http://origin.example:82/"
	scratchTarget = "http://origin.example:83/"
)

// bob is another user than client's, at another address.
func bob(task *squidTask) rig.Client {
	c := digested(task, client(task)).At(netip.MustParseAddr("198.51.100.8"))
	c.User, c.Password = "bob", "another password"
	return c
}

// statusOf is the status of a GET of the usual destination, or cutOff.
func statusOf(who rig.Client) int { return code(who.Request("GET", "http://origin.example/")) }

// code is the status of an answer, or cutOff.
func code(response *rig.Response, err error) int {
	if err != nil {
		return cutOff
	}
	return response.StatusCode
}

// logged waits until a line of the log holds all the words, and returns the number of lines up to
// it, or 0.
func logged(task *squidTask, words ...string) (lines int) {
	must.Within(5*time.Second, func() bool {
		lines = 1 + slices.IndexFunc(task.Log(), func(line string) bool {
			return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(line, word) })
		})
		return lines > 0
	})
	return lines
}

// marked requests a URL of its own and waits for its line, as logged does. Lines come a little
// after the answers.
func marked(task *squidTask) int {
	marker := fmt.Sprintf("http://origin.example/marker-%d", time.Now().UnixNano())
	client(task).Request("GET", marker)
	return logged(task, marker, `"status":200`)
}

// checkChallenges looks at a task's offers: each has to be new and answerable.
func checkChallenges(s subject) {
	offers, nonces := []string{"MD5"}, []string(nil)
	switch s.task.Params.Auth {
	case squid.AuthNone:
		return // the matrix has clients without credentials
	case squid.AuthBasic:
		offers = []string{"Basic"}
	case squid.AuthAny:
		offers = []string{"SHA-256", "MD5", "Basic"}
	default:
		if s.task.Params.Digest == squid.DigestFleet {
			offers = []string{"SHA-256", "MD5"}
		}
	}
	for range 2 {
		response, err := anonymous(s.task).Request("GET", "http://origin.example/")
		if err != nil || response.StatusCode != 407 {
			s.wrong("a request without credentials: %+v, %v", response, err)
			continue
		}
		var algorithms []string
		for _, text := range response.Header.Values("Proxy-Authenticate") {
			if text == `Basic realm="squidfleet", charset="UTF-8"` {
				algorithms = append(algorithms, "Basic")
				continue
			}
			challenge, err := digests.ParseChallenge(text)
			if err != nil {
				s.wrong("challenge %q: %v", text, err)
				continue
			}
			algorithms, nonces = append(algorithms, cmp.Or(challenge.Algorithm, "MD5")), append(nonces, challenge.Nonce)
		}
		if !slices.Equal(algorithms, offers) {
			s.wrong("challenges for %q, want %q", algorithms, offers)
		}
	}
	slices.Sort(nonces)
	if s.task.Params.Auth.Digest() && len(slices.Compact(nonces)) != 2 {
		s.wrong("two challenges hold the nonces %q, want two", nonces)
	}
	for _, algorithm := range offers {
		c := client(s.task)
		c.Algorithm = algorithm
		if got := statusOf(c); got != served {
			s.wrong("with %s: %d", algorithm, got)
		}
	}
}

// checkHealthPort looks for answers of the health check's port that open something, and for their
// lines in the log.
func checkHealthPort(s subject) {
	s.w.origins.Forget()
	target := map[string]string{"GET": "http://origin.example/health-port", "CONNECT": "health-port.example:443"}
	loopback := netip.MustParseAddr("127.0.0.1")
	port := netip.AddrPortFrom(loopback, s.task.Addr.Port()+1)
	challenged := 407
	if !s.task.Params.Auth.Passwords() {
		challenged = refused
	}
	check := client(s.task).At(loopback)
	check.Task, check.From = port, loopback
	for _, c := range []struct {
		name   string
		change func(c *rig.Client)
		status int
	}{
		{"with credentials", func(*rig.Client) {}, refused},
		{"with a client's address", func(c *rig.Client) { c.Header = rig.ProxyHeader(insider) }, refused},
		{"without credentials", func(c *rig.Client) { c.User = "" }, challenged},
		{"with a wrong password", func(c *rig.Client) { c.Password = "wrong password" }, challenged},
		{"from elsewhere", func(c *rig.Client) { c.From = neighbour }, cutOff},
		{"without a PROXY header", func(c *rig.Client) { c.Header = nil }, cutOff},
		{"at another address of the task", func(c *rig.Client) {
			c.Task = netip.AddrPortFrom(loadBalancer, port.Port())
		}, cutOff},
	} {
		for _, method := range []string{"GET", "CONNECT"} {
			who := check
			c.change(&who)
			if got := code(who.Request(method, target[method])); got != c.status {
				s.wrong("health port, %s %s: status %d, want %d", method, c.name, got, c.status)
			}
		}
	}
	if reached := s.w.origins.Reached(); len(reached) > 0 {
		s.wrong("health port: reached %v", reached)
	}
	marked(s.task)
	for _, line := range s.task.Log() {
		if strings.Contains(line, "health-port") {
			s.wrong("a health check is in the log: %s", line)
		}
	}
}

// checkParameters has a client in each of clientCidrs.
func checkParameters(s subject) {
	for _, block := range s.task.Params.ClientCidrs {
		// The first addresses are the load balancer's.
		if got := statusOf(client(s.task).At(ranges.Last(block))); got != served {
			s.wrong("a client of %s: %d", block, got)
		}
	}
}

// checkCache has two requests for a cacheable object: both have to reach the destination.
func checkCache(s subject) {
	var asked atomic.Int64
	s.w.origins.SetHandler(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		rw.Header().Set("Cache-Control", "public, max-age=3600")
		io.WriteString(rw, "body")
	}))
	defer s.w.origins.SetHandler(http.HandlerFunc(s.w.answer))
	for range 2 {
		if got := statusOf(client(s.task)); got != served {
			s.wrong("a cacheable object: %d", got)
		}
	}
	if asked.Load() != 2 {
		s.wrong("%d of two requests reached the destination", asked.Load())
	}
}

// checkPinger looks for Squid's message about its ICMP program. Squid cannot start it without
// privileges, and logs that sooner or later.
func checkPinger(s subject) {
	conf, err := os.ReadFile(filepath.Join(s.task.Dir, "squid.conf"))
	must.OK(s.t, err)
	said := func() bool { return strings.Contains(s.task.Errors(), "inger") }
	if said() || !strings.Contains(string(conf), "\npinger_enable off\n") && must.Within(15*time.Second, said) {
		s.wrong("Squid tries to start its pinger: %s", s.task.Errors())
	}
}

// checkNonce is wrong if Squid's own Digest challenges a client again: after many requests, or
// because another connection used the same count.
func checkNonce(s subject) {
	first, second := &rig.Loader{Client: client(s.task)}, &rig.Loader{Client: client(s.task)}
	send := func(from *rig.Loader) {
		if err := from.Again("GET", "http://origin.example/"); err != nil {
			s.wrong("%v", err)
			return
		}
		from.Conn.Close()
	}
	send(first)
	second.Digest = first.Digest
	send(second)
	if second.Challenges != 0 {
		s.wrong("a second connection needs another nonce")
	}
	for range 100 {
		send(first)
	}
	if first.Challenges != 1 {
		s.wrong("a nonce does not last for 100 requests")
	}
}

// perClient is how many connections one address may have to a task of 512 MiB.
const perClient = 1024

// checkCrowd is wrong if one address may open more connections than its share, or if another one
// suffers from it.
func checkCrowd(s subject) {
	crowd, other := client(s.task).At(netip.MustParseAddr("198.51.100.99")), client(s.task)
	var open []net.Conn
	closeAll := func() {
		for _, conn := range open {
			conn.Close()
		}
	}
	defer closeAll()
	for range perClient {
		conn, err := crowd.Dial()
		if err != nil {
			s.wrong("crowd: %v", err)
			return
		}
		open = append(open, conn)
	}
	if got := statusOf(crowd); got != cutOff {
		s.wrong("connection %d of one address: %d", perClient+1, got)
	}
	if got := statusOf(other); got != served {
		s.wrong("another address next to %d connections: %d", perClient, got)
	}
	closeAll()
	if !must.Within(time.Second, func() bool { return statusOf(crowd) == served }) {
		s.wrong("the address is not served when its connections are closed")
	}
}

// checkGuessing is wrong if an address that guesses many passwords at a time gets no 429, or if
// other clients suffer.
func checkGuessing(s subject) {
	guesser := netip.MustParseAddr("198.51.100.66")
	var mu sync.Mutex
	statuses := map[int]int{}
	answered := func(status int) int {
		mu.Lock()
		defer mu.Unlock()
		return statuses[status]
	}
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			c := client(s.task).At(guesser)
			// Squid asks about the same Basic credentials once at a time.
			c.Password = fmt.Sprint("wrong password ", i)
			response, err := c.Request("GET", "http://origin.example/")
			if err == nil && proxyStatus(response.Header) != ofType("http_request_denied") {
				s.wrong("a guess: %+v", response)
			}
			mu.Lock()
			defer mu.Unlock()
			statuses[code(response, err)]++
		})
	}
	begin := time.Now()
	if got := statusOf(client(s.task)); got != served || time.Since(begin) > 10*time.Second {
		s.wrong("another address next to a guesser: %d after %v", got, time.Since(begin))
	}
	if s.task.Params.Auth == squid.AuthAny { // Digest and Basic have one account
		must.Within(2*time.Second, func() bool { return answered(http.StatusTooManyRequests) > 0 })
		if statusOf(digested(s.task, client(s.task)).At(guesser)) == served {
			s.wrong("Digest from an address that guesses by Basic does not wait")
		}
	}
	all.Wait()
	if answered(http.StatusTooManyRequests) == 0 || answered(served)+answered(refused)+answered(noAddress) > 0 {
		s.wrong("100 guesses from one address were answered %v", statuses)
	}
}
