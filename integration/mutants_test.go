package integration

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	ranges "squidfleet/destination"
	"squidfleet/internal/rig"
	"squidfleet/squid"
)

// excused are the lines of squid.conf whose absence nothing below sees, by their beginning, and why they are there all the same. Every other line is a rule: without it something has to come out wrong.
var excused = map[string]string{
	"http_port 35201 ":                     "nothing would listen; it is shortened instead",
	"http_access deny all\n":               "behind an allow, what matches nothing is denied anyway; the reader need not know that",
	"acl connect ":                         "Squid has one of that name itself, as it has manager and all",
	"visible_hostname ":                    "where Squid would name its host, lines of their own hide it; this one spares Squid from asking the machine for a name that it may not have",
	"cache_log ":                           "Squid falls back to standard error where it cannot write its usual file",
	"logfile_rotate ":                      "for whoever tells Squid to rotate",
	"debug_options ":                       "messages_test.go and hunghelper_test.go have Squid say what it keeps quiet",
	"coredump_dir ":                        "for a core dump",
	"eui_lookup ":                          "four system calls a connection, whose result nothing asks for",
	"netdb_filename ":                      "Squid writes that file once an hour",
	"mime_table ":                          "the usual file is on this machine; in the image there is none, and Squid would not start",
	"shutdown_lifetime ":                   "the entrypoint ends Squid with SIGINT, which does not wait for it; it is for whoever sends SIGTERM",
	"auth_param digest children ":          "how many helpers there are, not what they say",
	"auth_param digest nonce_garbage_":     "Squid's default",
	"auth_param digest nonce_max_duration": "Squid's default",
	// Each of the two does alone what both are for; see alternatives.
	"cache deny all\n": "cache_mem 0 is enough",
	"cache_mem 0\n":    "cache deny all is enough",
}

func init() {
	for _, b := range bounds {
		excused[b.line+"\n"] = "what it bounds takes a while to fill or to wait for, and is filled and waited for in bounds_test.go"
	}
}

// shortened are lines that lose some of their words besides.
var shortened = map[string]string{
	"http_port ":         " require-proxy-header",
	"external_acl_type ": " ttl=0 negative_ttl=0 grace=0 cache=0", // any of them is enough
}

// alternatives are lines of which any one is enough.
var alternatives = [][]string{{"cache deny all\n", "cache_mem 0\n"}}

// fatal are the lines without which a task does not start although Squid can read the configuration, and what it says then.
var fatal = map[string]string{
	"pid_filename ": "/run/squid.pid",
}

// list is lines that do not depend on each other, because each is about destinations or a header of its own. They are known by their beginning and end.
type list struct {
	beginning, end string
	// missed says which of the lines a task without some of them turns out not to have.
	missed func(t *testing.T, w *world, task *rig.Task) func(line string) bool
}

func (l list) holds(line string) bool {
	return strings.HasPrefix(line, l.beginning) && strings.HasSuffix(line, l.end)
}

var lists = []list{
	{"acl forbidden dst ", "\n", reachedThrough},
	{"request_header_access ", " deny all\n", shownBy},
	{"reply_header_access ", " deny all\n", shownBy},
}

// reachedThrough says which blocks of destinations were reached.
func reachedThrough(t *testing.T, w *world, task *rig.Task) func(line string) bool {
	var reached []netip.Addr
	for _, c := range cells(t) {
		w.run(task, c)
		for to := range w.origins.Reached() {
			reached = append(reached, to.Addr())
		}
	}
	return func(line string) bool {
		return slices.ContainsFunc(reached, netip.MustParsePrefix(strings.Fields(line)[3]).Contains)
	}
}

// shownBy says which headers were shown.
func shownBy(t *testing.T, w *world, task *rig.Task) func(line string) bool {
	problems := anonymityProblems(w, task)
	return func(line string) bool {
		header := strings.ToLower(strings.Fields(line)[1]) + ": "
		return slices.ContainsFunc(problems, func(problem string) bool {
			got, _, _ := strings.Cut(strings.ToLower(problem), ", want ") // of a request's lines, each in quotes
			return strings.Contains(got, `"`+header) || strings.Contains(got, " has "+header)
		})
	}
}

// look is what the other tests look at in a task: the first thing that is wrong, if any.
type look struct {
	name  string
	first func(t *testing.T, w *world, task *rig.Task) (problem string)
}

// looks are those that suit the task, the quickest first; but before them the one that is about what the line names.
func looks(task *rig.Task, line string) []look {
	all := func(problems []string) string { return strings.Join(problems, "; ") }
	out := []look{
		{"challenge", func(_ *testing.T, _ *world, task *rig.Task) string { return all(challengeProblems(task)) }},
		{"health", func(_ *testing.T, _ *world, task *rig.Task) string { return all(healthProblems(task)) }},
		{"anonymity", func(_ *testing.T, w *world, task *rig.Task) string { return all(anonymityProblems(w, task)) }},
		{"log", func(_ *testing.T, w *world, task *rig.Task) string { return all(logProblems(w, task)) }},
		{"parameters", func(_ *testing.T, _ *world, task *rig.Task) string { return all(parameterProblems(task)) }},
		{"cache", func(_ *testing.T, w *world, task *rig.Task) string { return all(cacheProblems(w, task)) }},
		{"pinger", pingerProblem},
		{"matrix", func(t *testing.T, w *world, task *rig.Task) string {
			for _, c := range cells(t) {
				if problem := w.run(task, c); problem != "" {
					return problem
				}
			}
			return ""
		}},
		{"crowd", func(_ *testing.T, _ *world, task *rig.Task) string { return all(crowdProblems(task)) }},
	}
	if task.Params.Digest == squid.DigestFleet {
		out = append(out, look{"guessing", func(_ *testing.T, _ *world, task *rig.Task) string { return all(guessingProblems(task)) }})
	} else {
		out = append(out, look{"nonce", func(_ *testing.T, _ *world, task *rig.Task) string { return all(nonceProblems(task)) }})
	}
	slices.SortStableFunc(out, func(a, b look) int {
		return cmp.Compare(strings.Count(line, b.name), strings.Count(line, a.name))
	})
	return out
}

// parameterProblems says whether a client of each of clientCidrs is turned away.
func parameterProblems(task *rig.Task) (problems []string) {
	for _, block := range task.Params.ClientCidrs {
		c := client(task)
		c.Header = rig.ProxyHeader(ranges.Last(block)) // the load balancer is among the first ones
		if response, err := c.Request("GET", "http://origin.example/"); err != nil || response.StatusCode != served {
			problems = append(problems, fmt.Sprintf("a client of %s: %+v, %v", block, response, err))
		}
	}
	return problems
}

// cacheProblems says whether a second request for what may be cached is answered without the destination.
func cacheProblems(w *world, task *rig.Task) (problems []string) {
	var asked atomic.Int64
	w.origins.SetHandler(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		rw.Header().Set("Cache-Control", "public, max-age=3600")
		io.WriteString(rw, "body")
	}))
	defer w.origins.SetHandler(http.HandlerFunc(w.answer))
	for range 2 {
		if response, err := client(task).Request("GET", "http://origin.example/cacheable"); err != nil || response.StatusCode != served {
			problems = append(problems, fmt.Sprintf("%+v, %v", response, err))
		}
	}
	if asked.Load() != 2 {
		problems = append(problems, fmt.Sprintf("of two requests %d came to the destination", asked.Load()))
	}
	return problems
}

// pingerProblem says whether Squid has tried to start a program that sends ICMP: without rights it comes to nothing, but Squid tells, sooner or later.
func pingerProblem(t *testing.T, _ *world, task *rig.Task) string {
	conf, err := os.ReadFile(filepath.Join(task.Dir, "squid.conf"))
	if err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		for line := range strings.Lines(task.Errors()) {
			if strings.Contains(line, "inger") {
				return line
			}
		}
		if strings.Contains(string(conf), "\npinger_enable off\n") || time.Since(begin) > 15*time.Second {
			return ""
		}
	}
}

// nonceProblems says whether Squid's own Digest challenges a client anew that has a nonce already: after many requests, or because its other connection has used the same count.
func nonceProblems(task *rig.Task) (problems []string) {
	first, second := &loader{client: client(task), tasks: []*rig.Task{task}}, &loader{client: client(task), tasks: []*rig.Task{task}}
	request := func(l *loader) {
		if err := l.request("GET", "http://origin.example/", "/"); err != nil {
			problems = append(problems, err.Error())
		}
	}
	for _, l := range []*loader{first, second} {
		if err := l.dial(); err != nil {
			return append(problems, err.Error())
		}
		defer l.conn.Close()
	}
	request(first)
	nonce := first.nonce
	second.nonce = nonce
	request(second)
	if second.nonce != nonce {
		problems = append(problems, "a second connection needs a nonce of its own")
	}
	for range 100 {
		request(first)
	}
	if first.nonce != nonce {
		problems = append(problems, "a nonce does not last for 100 requests")
	}
	return problems
}
