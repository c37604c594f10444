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

// excused are the beginnings of lines whose absence no check sees, and why they exist. Without any
// other line a check must fail.
var excused = map[string]string{
	"http_port 35201 ":                     "nothing would listen; it is shortened",
	"http_access deny all\n":               "denied anyway behind an allow; the reader need not know that",
	"acl connect ":                         "Squid defines it too, like manager and all",
	"visible_hostname ":                    "other lines hide the host's name; a machine may have none",
	"cache_log ":                           "Squid falls back to standard error if it cannot write its usual file",
	"logfile_rotate ":                      "matters only to a rotation of logs",
	"debug_options ":                       "messages_test.go and hunghelper_test.go check what Squid must not log",
	"coredump_dir ":                        "for a core dump",
	"eui_lookup ":                          "saves four system calls a connection",
	"netdb_filename ":                      "Squid writes that file once an hour",
	"mime_table ":                          "the image lacks the usual file, and Squid would not start",
	"shutdown_lifetime ":                   "for SIGTERM; the entrypoint's SIGINT does not wait for it",
	"auth_param digest children ":          "the number of helpers",
	"url_rewrite_extras ":                  "guard_test.go counts all questions to the name server; Squid 6 asks none",
	"store_id_extras ":                     "as url_rewrite_extras",
	"auth_param digest nonce_garbage_":     "Squid's default",
	"auth_param digest nonce_max_duration": "Squid's default",
	// One of the two is enough; see alternatives.
	"cache deny all\n": "cache_mem 0 is enough",
	"cache_mem 0\n":    "cache deny all is enough",
}

func init() {
	for _, b := range bounds {
		excused[b.line+"\n"] = "bounds_test.go takes its time to reach the bound"
	}
}

// shortened are lines that also lose some of their words.
var shortened = map[string]string{
	"http_port ":         " require-proxy-header",
	"external_acl_type ": " ttl=0 negative_ttl=0 grace=0 cache=0", // any of them is enough
}

// alternatives are lines that can replace each other.
var alternatives = [][]string{{"cache deny all\n", "cache_mem 0\n"}}

// fatal are lines without which a task does not start although Squid can read the configuration,
// and a part of its message.
var fatal = map[string]string{"pid_filename ": "/run/squid.pid"}

// list is lines that do not depend on each other, because each concerns other destinations or
// another header. Their beginning and end identify them.
type list struct {
	beginning, end string
	// missed finds the lines that a task lacks.
	missed func(t *testing.T, w *world, task *squidTask) func(line string) bool
}

func (l list) holds(line string) bool {
	return strings.HasPrefix(line, l.beginning) && strings.HasSuffix(line, l.end)
}

var lists = []list{
	{"acl forbidden dst ", "\n", reachedThrough},
	{"request_header_access ", " deny all\n", shownBy},
	{"reply_header_access ", " deny all\n", shownBy},
}

// reachedThrough finds the lines whose destinations were reached.
func reachedThrough(t *testing.T, w *world, task *squidTask) func(line string) bool {
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

// shownBy finds the lines whose headers were shown.
func shownBy(t *testing.T, w *world, task *squidTask) func(line string) bool {
	problems := anonymityProblems(t, w, task)
	return func(line string) bool {
		header := strings.ToLower(strings.Fields(line)[1]) + ": "
		return slices.ContainsFunc(problems, func(problem string) bool {
			got, _, _ := strings.Cut(strings.ToLower(problem), ", want ") // quoted lines of a request
			return strings.Contains(got, `"`+header) || strings.Contains(got, " has "+header)
		})
	}
}

// look is a check of a task by another test. first returns the first problem, or nothing.
type look struct {
	name  string
	first func(t *testing.T, w *world, task *squidTask) (problem string)
}

// looks are the checks of a task, the quickest first. But a check that the line names comes first.
func looks(task *squidTask, line string) []look {
	in := func(problems func(*world, *squidTask) []string) func(*testing.T, *world, *squidTask) string {
		return func(_ *testing.T, w *world, task *squidTask) string { return strings.Join(problems(w, task), "; ") }
	}
	of := func(problems func(*squidTask) []string) func(*testing.T, *world, *squidTask) string {
		return in(func(_ *world, task *squidTask) []string { return problems(task) })
	}
	out := []look{
		{"challenge", of(challengeProblems)},
		{"health", of(healthProblems)},
		{"anonymity", func(t *testing.T, w *world, task *squidTask) string {
			return strings.Join(anonymityProblems(t, w, task), "; ")
		}},
		{"persistent", func(t *testing.T, _ *world, task *squidTask) string {
			return strings.Join(rig.SharingProblems(t, client(task), bob(task), scratchTarget), "; ")
		}},
		{"log", in(logProblems)},
		{"parameters", of(parameterProblems)},
		{"cache", in(cacheProblems)},
		{"pinger", pingerProblem},
		{"matrix", func(t *testing.T, w *world, task *squidTask) string {
			for _, c := range cells(t) {
				if problem := w.run(task, c); problem != "" {
					return problem
				}
			}
			return ""
		}},
		{"crowd", of(crowdProblems)},
	}
	if task.Params.Digest == squid.DigestFleet {
		out = append(out, look{"guessing", of(guessingProblems)})
	} else {
		out = append(out, look{"nonce", of(nonceProblems)})
	}
	slices.SortStableFunc(out, func(a, b look) int {
		return cmp.Compare(strings.Count(line, b.name), strings.Count(line, a.name))
	})
	return out
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

// pingerProblem is Squid's message about its ICMP program. Squid cannot start it without
// privileges, and logs that sooner or later.
func pingerProblem(t *testing.T, _ *world, task *squidTask) string {
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

// nonceProblems is not empty if Squid's own Digest challenges a client again: after many requests,
// or because another connection used the same count.
func nonceProblems(task *squidTask) (problems []string) {
	newLoader := func() *loader { return &loader{client: client(task), tasks: []*squidTask{task}} }
	first, second := newLoader(), newLoader()
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
		problems = append(problems, "a second connection needs another nonce")
	}
	for range 100 {
		request(first)
	}
	if first.nonce != nonce {
		problems = append(problems, "a nonce does not last for 100 requests")
	}
	return problems
}
