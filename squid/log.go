package squid

import "strings"

// logFields are the members of a log line's JSON object, in their order. Strings are URL-escaped
// (the format's %#), the only one of Squid's encodings that a strict JSON parser reads whatever
// bytes a client sends; "-" stands for nothing. Squid cuts a line at 8 KiB, so each string has a
// limit, after escaping, and all of them together stay below. Of the others, a width of 0 (%00) has
// Squid copy the value where it would print it: together 3 % of what a CONNECT costs Squid.
//
// The entrypoint rewrites "method" and "url" and counts some lines instead of writing them. It
// finds "user", "auth", "status" and "result" by their names, and "url" behind "method".
var logFields = []struct{ name, format string }{
	{"time", `"%00{%Y-%m-%dT%H:%M:%S}tl.%03tu%00{%z}tl"`},
	{"durationMs", `%00tr`},
	{"client", `"%00>a"`},
	{"user", `"%#.64un"`},
	{"auth", `"%#.64ea"`},
	{"method", `"%#.32rm"`},
	{"url", `"%#.4096ru"`},
	{"status", `%00>Hs`},
	{"result", `"%00Ss"`},
	{"error", `"%.64err_code"`},
	{"errorDetail", `"%#.256err_detail"`},
	{"destination", `"%00<a"`},
	{"bytesFromClient", `%00>st`},
	{"bytesToClient", `%00<st`},
	{"userAgent", `"%#.1024{User-Agent}>h"`},
}

func (c Config) log(w *writer) {
	w.section("Log: one JSON object a request on standard output; nothing for a connection without a request")
	members := make([]string, 0, len(logFields))
	for _, f := range logFields {
		members = append(members, `"`+f.name+`":`+f.format)
	}
	w.line("logformat squidfleet {%s}", strings.Join(members, ","))
	w.line("acl has_request has request")
	logged := "has_request"
	if c.HealthPort != 0 {
		logged += " !health"
	}
	w.line("access_log stdio:/dev/stdout logformat=squidfleet %s", logged)
	w.line("cache_log /dev/stderr")
	w.line("# Warnings of these sections hold what a client sent, headers with credentials and URLs with their")
	w.line("# query included: HTTP (11), URLs (23), authentication (29), the client's side (33), headers (55),")
	w.line("# external ACLs (82), requests (85).")
	w.line("debug_options ALL,1 11,0 23,0 29,0 33,0 55,0 82,0 85,0")
	w.line("logfile_rotate 0")
}
