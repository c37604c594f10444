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

// A look is a check of a task.
type look struct {
	name     string
	problems func() []string
}

// looks are the checks of a task, the quickest first. But one whose first word the line holds comes
// before them.
func looks(t *testing.T, w *world, task *squidTask, line string) []look {
	of := func(problems func(*squidTask) []string) func() []string {
		return func() []string { return problems(task) }
	}
	in := func(problems func(*world, *squidTask) []string) func() []string {
		return func() []string { return problems(w, task) }
	}
	out := []look{
		{"log", in(logProblems)}, // before many challenges have their lines left out
		{"challenge", of(challengeProblems)},
		{"health", in(healthProblems)},
		{"anonymity", func() []string { return anonymityProblems(t, w, task) }},
		{"persistent", func() []string {
			return rig.SharingProblems(t, client(task), bob(task), scratchTarget)
		}},
		{"parameters", of(parameterProblems)},
		{"cache", in(cacheProblems)},
		{"pinger", func() []string { return pingerProblems(t, task) }},
		{"matrix", func() []string { return matrixProblem(t, w, task) }},
		{"Proxy-Status", func() []string { return statusProblems(t, task) }},
		{"crowd", of(crowdProblems)},
	}
	switch {
	case !task.Params.Auth.Passwords():
	case task.Params.Digest == squid.DigestFleet:
		out = append(out, look{"guessing", of(guessingProblems)})
	default:
		out = append(out, look{"nonce", of(nonceProblems)})
	}
	out = append(out, look{"Proxy-Status forgery", func() []string { return forgeryProblems(t, w, task) }})
	slices.SortStableFunc(out, func(a, b look) int {
		named := func(l look) int { return strings.Count(line, strings.Fields(l.name)[0]) }
		return cmp.Compare(named(b), named(a))
	})
	return out
}

// matrixProblem is the first cell of the matrix that has a problem.
func matrixProblem(t *testing.T, w *world, task *squidTask) []string {
	for _, c := range cells(t, task.Params.Auth) {
		if problem := w.run(task, c); problem != "" {
			return []string{problem}
		}
	}
	return nil
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
		o.Context["httpPorts"] = "80,81,82,83"
		task := startTask(t, o)
		all := append(looks(t, w, task, ""), look{"busy user", func() []string { return busyUserProblems(t, task) }})
		if !m.is("none") { // A request that no frame covers is nobody's there as well.
			all = append(all, look{"framing", func() []string {
				return rig.FramingProblems(t, client(task), scratchTarget)
			}})
		}
		for _, look := range all {
			t.Run(look.name, func(t *testing.T) {
				if look.name != "log" {
					rig.Beside(t, bob(task), besideTarget)
				}
				report(t, look.problems())
			})
		}
		report(t, w.everProblems(t))
	})
}

// busyUserProblems are requests with a wrong password that are served while its user is. Squid's
// own Digest lets most of them in: it notes for the user, not the request, that a password was
// right.
func busyUserProblems(t *testing.T, task *squidTask) (problems []string) {
	c, in := bob(task), 0
	c.Password = "wrong password"
	for range 20 {
		c.Header = elsewhere()
		if statusOf(c) == served {
			in++
		}
	}
	if !task.Params.Auth.Passwords() {
		return nil
	}
	if task.Params.Digest == squid.DigestSquid {
		t.Logf("%d of 20 wrong passwords of a busy user were let in", in)
	} else if in > 0 {
		problems = append(problems, fmt.Sprintf("%d of 20 wrong passwords of a busy user were let in", in))
	}
	return problems
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
	must.Within(2*time.Second, func() bool {
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

// challengeProblems tells what is wrong with a task's offers: each has to be new and answerable.
func challengeProblems(task *squidTask) (problems []string) {
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	offers, nonces := []string{"MD5"}, []string(nil)
	switch task.Params.Auth {
	case squid.AuthNone:
		return nil // the matrix has clients without credentials
	case squid.AuthBasic:
		offers = []string{"Basic"}
	case squid.AuthAny:
		offers = []string{"SHA-256", "MD5", "Basic"}
	default:
		if task.Params.Digest == squid.DigestFleet {
			offers = []string{"SHA-256", "MD5"}
		}
	}
	stranger := client(task)
	stranger.User = ""
	for range 2 {
		response, err := stranger.Request("GET", "http://origin.example/")
		if err != nil || response.StatusCode != 407 {
			wrong("a request without credentials: %+v, %v", response, err)
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
				wrong("challenge %q: %v", text, err)
				continue
			}
			algorithms, nonces = append(algorithms, cmp.Or(challenge.Algorithm, "MD5")), append(nonces, challenge.Nonce)
		}
		if !slices.Equal(algorithms, offers) {
			wrong("challenges for %q, want %q", algorithms, offers)
		}
	}
	slices.Sort(nonces)
	if task.Params.Auth.Digest() && len(slices.Compact(nonces)) != 2 {
		wrong("two challenges hold the nonces %q, want two", nonces)
	}
	for _, algorithm := range offers {
		c := client(task)
		c.Algorithm = algorithm
		if response, err := c.Request("GET", "http://origin.example/"); err != nil || response.StatusCode != served {
			wrong("with %s: %+v, %v", algorithm, response, err)
		}
	}
	return problems
}

// healthProblems are wrong answers of the health check's port, which opens nothing, and their lines
// in the log.
func healthProblems(w *world, task *squidTask) (problems []string) {
	w.origins.Forget()
	target := map[string]string{"GET": "http://origin.example/health-port", "CONNECT": "health-port.example:443"}
	loopback := netip.MustParseAddr("127.0.0.1")
	port := netip.AddrPortFrom(loopback, task.Addr.Port()+1)
	challenged := 407
	if !task.Params.Auth.Passwords() {
		challenged = refused
	}
	check := client(task)
	check.Task, check.From, check.Header = port, loopback, rig.ProxyHeader(loopback)
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
				problems = append(problems,
					fmt.Sprintf("health port, %s %s: status %d, want %d", method, c.name, got, c.status))
			}
		}
	}
	if reached := w.origins.Reached(); len(reached) > 0 {
		problems = append(problems, fmt.Sprintf("health port: reached %v", reached))
	}
	marked(task)
	for _, line := range task.Log() {
		if strings.Contains(line, "health-port") {
			problems = append(problems, "a health check is in the log: "+line)
		}
	}
	return problems
}

// parameterProblems is not empty if a client in one of clientCidrs is not served.
func parameterProblems(task *squidTask) (problems []string) {
	for _, block := range task.Params.ClientCidrs {
		c := client(task)
		c.Header = rig.ProxyHeader(ranges.Last(block)) // the first addresses are the load balancer's
		if got := statusOf(c); got != served {
			problems = append(problems, fmt.Sprintf("a client of %s: %d", block, got))
		}
	}
	return problems
}

// cacheProblems is not empty if a second request for a cacheable object does not reach the
// destination.
func cacheProblems(w *world, task *squidTask) (problems []string) {
	var asked atomic.Int64
	w.origins.SetHandler(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		rw.Header().Set("Cache-Control", "public, max-age=3600")
		io.WriteString(rw, "body")
	}))
	defer w.origins.SetHandler(http.HandlerFunc(w.answer))
	for range 2 {
		if got := statusOf(client(task)); got != served {
			problems = append(problems, fmt.Sprintf("a cacheable object: %d", got))
		}
	}
	if asked.Load() != 2 {
		problems = append(problems, fmt.Sprintf("%d of two requests reached the destination", asked.Load()))
	}
	return problems
}

// pingerProblems are Squid's message about its ICMP program. Squid cannot start it without
// privileges, and logs that sooner or later.
func pingerProblems(t *testing.T, task *squidTask) []string {
	conf, err := os.ReadFile(filepath.Join(task.Dir, "squid.conf"))
	must.OK(t, err)
	for begin := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		for line := range strings.Lines(task.Errors()) {
			if strings.Contains(line, "inger") {
				return []string{line}
			}
		}
		if strings.Contains(string(conf), "\npinger_enable off\n") || time.Since(begin) > 15*time.Second {
			return nil
		}
	}
}

// nonceProblems is not empty if Squid's own Digest challenges a client again: after many requests,
// or because another connection used the same count.
func nonceProblems(task *squidTask) (problems []string) {
	first, second := &session{client: client(task)}, &session{client: client(task)}
	send := func(s *session) {
		if status, err := s.send("GET", "http://origin.example/", "/"); err != nil || status != served {
			problems = append(problems, fmt.Sprintf("%d, %v", status, err))
		}
	}
	send(first)
	second.nonce = first.nonce
	send(second)
	if second.challenges.Load() != 0 {
		problems = append(problems, "a second connection needs another nonce")
	}
	for range 100 {
		send(first)
	}
	if first.challenges.Load() != 1 {
		problems = append(problems, "a nonce does not last for 100 requests")
	}
	return problems
}

// perClient is how many connections one address may have to a task of 512 MiB.
const perClient = 1024

// crowdProblems says whether one address may open more connections than its share, or whether
// another one suffers from it.
func crowdProblems(task *squidTask) (problems []string) {
	crowd, other := client(task), client(task)
	crowd.Header = rig.ProxyHeader(netip.MustParseAddr("198.51.100.99"))
	var open []net.Conn
	defer func() {
		for _, conn := range open {
			conn.Close()
		}
	}()
	for range perClient {
		conn, err := crowd.Dial()
		if err != nil {
			return append(problems, "crowd: "+err.Error())
		}
		open = append(open, conn)
	}
	if got := statusOf(crowd); got != cutOff {
		problems = append(problems, fmt.Sprintf("connection %d of one address: %d", perClient+1, got))
	}
	if got := statusOf(other); got != served {
		problems = append(problems, fmt.Sprintf("another address next to %d connections: %d", perClient, got))
	}
	for _, conn := range open {
		conn.Close()
	}
	if !must.Within(time.Second, func() bool { return statusOf(crowd) == served }) {
		problems = append(problems, "the address is not served when its connections are closed")
	}
	return problems
}

// guessingProblems is not empty if an address that guesses many passwords at a time gets no 429,
// or if other clients suffer.
func guessingProblems(task *squidTask) (problems []string) {
	var mu sync.Mutex
	statuses := map[int]int{}
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			guesser := client(task).At(netip.MustParseAddr("198.51.100.66"))
			// Squid asks about the same Basic credentials once at a time.
			guesser.Password = fmt.Sprint("wrong password ", i)
			response, err := guesser.Request("GET", "http://origin.example/")
			mu.Lock()
			defer mu.Unlock()
			statuses[code(response, err)]++
			if err == nil && proxyStatus(response.Header) != ofType("http_request_denied") {
				problems = append(problems, fmt.Sprintf("a guess: %+v", response))
			}
		})
	}
	begin := time.Now()
	got, took := statusOf(client(task)), time.Since(begin)
	unthrottled := false
	if task.Params.Auth == squid.AuthAny { // Digest and Basic have one account
		must.Within(2*time.Second, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return statuses[http.StatusTooManyRequests] > 0
		})
		right := digested(task, client(task)).At(netip.MustParseAddr("198.51.100.66"))
		unthrottled = statusOf(right) == served
	}
	all.Wait()
	if unthrottled {
		problems = append(problems, "Digest from an address that guesses by Basic does not wait")
	}
	if got != served || took > 10*time.Second {
		problems = append(problems, fmt.Sprintf("another address next to a guesser: %d after %v", got, took))
	}
	if statuses[http.StatusTooManyRequests] == 0 || statuses[served]+statuses[refused]+statuses[noAddress] > 0 {
		problems = append(problems, fmt.Sprintf("100 guesses from one address were answered %v", statuses))
	}
	return problems
}
