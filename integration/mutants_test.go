package integration

import (
	"fmt"
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
	// One of the two is enough.
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

// A trial starts tasks of its own, and shows what lines are for that hold some words.
type trial struct {
	look
	modes []mode // in which it is made with all lines, too
	words []string
}

var trials = []trial{
	{look{"a broken helper lets nobody in", tryBrokenHelpers},
		[]mode{newMode("digest", "fleet"), newMode("any", "fleet")},
		[]string{"ERR_UNAVAILABLE", "http_access deny !authenticated\n"}},
	{look{"the health check notices a helper that refuses everybody", tryHealthOfABrokenHelper}, modes[:1],
		[]string{"http_access deny loopback health !authenticated\n"}},
	{look{"Squid remembers right Basic credentials and no others", tryRemembering},
		[]mode{newMode("basic", "fleet"), newMode("any", "fleet")}, []string{"external_acl_type basic_helper "}},
	{look{"Proxy-Status of a broken helper", tryStatusOfABrokenHelper}, modes[:1], []string{"proxy_internal_error"}},
	{look{"Proxy-Status of what takes time", tryLateStatus}, modes[:1],
		[]string{"error=connection_timeout", "connection_read_timeout"}},
	{look{"a name that changes its address after the rules have seen it goes nowhere", tryRebinding}, modes[:1],
		[]string{"never_direct ", " unforwarded bad_gateway\n"}},
	{look{"no secret and no forged line is written", trySecrets}, []mode{modes[0], modes[1], newMode("any", "fleet")},
		[]string{"debug_options "}},
}

// trialOf finds the trial of a line. A mode without a helper cannot have that broken.
func (m mode) trialOf(line string) (trial, bool) {
	helper := m["digest"] == "fleet" && m["auth"] != "none"
	for _, one := range trials {
		if slices.ContainsFunc(one.words, func(words string) bool { return strings.Contains(line, words) }) {
			return one, helper || !strings.Contains(line, "authenticated\n")
		}
	}
	return trial{}, false
}

// With all lines, no trial finds a problem.
func TestEveryTrialIsGood(t *testing.T) {
	var names []string
	var tests []func(t *testing.T)
	for _, trial := range trials {
		for _, m := range trial.modes {
			names = append(names, fmt.Sprint(trial.name, ", ", m))
			tests = append(tests, func(t *testing.T) {
				trial.check(subject{t: t, w: newWorld(t), wrong: t.Errorf, options: lookedAt(m)})
			})
		}
	}
	inShares(t, names, func(t *testing.T, share int) { tests[share](t) })
}
