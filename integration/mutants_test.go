package integration

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
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
	"http_port ":                       " require-proxy-header",
	"external_acl_type digest_helper ": " ttl=0 negative_ttl=0 grace=0 cache=0", // any of them is enough
	"external_acl_type basic_helper ":  " negative_ttl=0",
	// Without these, what a destination sends passes for the proxy's.
	ofKind("destination_ip_prohibited"): " unforwarded", ofKind("dns_error"): " unforwarded",
	ofKind("http_request_denied"): " unforwarded", ofKind("http_request_error"): " unforwarded",
	ofKind("proxy_internal_response"): " unforwarded", ofKind("connection_refused"): " unconnected",
	ofKind("connection_terminated") + "broken_off ": " broken_off_page",
	ofKind("connection_read_timeout"):               " silent_page",
}

// ofKind is the beginning of the line that writes a type of Proxy-Status.
func ofKind(kind string) string {
	return `reply_header_add Proxy-Status "` + ofType(kind) + `" `
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
	for _, c := range cells(t, task.Params.Auth) {
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
	problems := append(anonymityProblems(t, w, task), statusProblems(t, task)...)
	return func(line string) bool {
		header := strings.ToLower(strings.Fields(line)[1]) + ": "
		return slices.ContainsFunc(problems, func(problem string) bool {
			got, _, _ := strings.Cut(strings.ToLower(problem), ", want ") // quoted lines of a request
			return strings.Contains(got, `"`+header) || strings.Contains(got, " has "+header)
		})
	}
}
