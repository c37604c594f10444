package squid

import "strings"

// hiddenFromDestination are the headers that tell of a proxy or of the client behind it, and that
// Squid passes on: those of RFC 9110 and RFC 7239, the IANA's registered names under Proxy-, and
// the names in which reverse proxies, application servers and content networks write a client's
// address, host or scheme. Squid itself drops X-Forwarded-For, Proxy-Connection,
// Proxy-Authenticate and Max-Forwards.
var hiddenFromDestination = []string{
	"Via", "Forwarded",
	"Proxy", "Proxy-Authentication-Info", "Proxy-Features", "Proxy-Instruction", "Proxy-Status", "Proxy-Support",
	"X-Forwarded", "X-Forwarded-By", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Proto", "X-Forwarded-Scheme",
	"X-Forwarded-Server", "X-Forwarded-Ssl", "X-Original-Forwarded-For", "Forwarded-For",
	"X-Real-IP", "X-Client-IP", "Client-IP", "True-Client-IP", "X-Cluster-Client-IP", "X-Originating-IP", "X-Remote-IP",
	"X-Remote-Addr", "CF-Connecting-IP", "Fastly-Client-IP", "Proxy-Client-IP", "WL-Proxy-Client-IP", "X-ProxyUser-IP",
	"X-BlueCoat-Via", "Surrogate-Capability",
}

// hiddenFromClient are the headers in which Squid, or a cache behind it, shows itself: on its
// error pages, in every answer, or in one that is no HTTP. Proxy-Authentication-Info is the
// proxy's own to send, and this one sends none.
var hiddenFromClient = []string{
	"Via", "X-Cache", "X-Cache-Lookup", "Cache-Status", "Mime-Version", "X-Transformed-From",
	"Proxy-Authentication-Info",
}

// anonymity writes what keeps the proxy out of the destinations' sight, and Squid out of the
// clients'.
//
// A rule about headers must not ask an ACL about a header of the same message (rep_header,
// rep_mime_type). Squid deletes fields while it walks over them, and fails an assertion when such
// an ACL looks up a field that has just gone. The rules for requests may ask req_header: it reads
// what the client sent, and Squid deletes from a copy.
func (c Config) anonymity(w *writer) {
	w.section("Anonymity: towards the destination nothing that the client did not send on purpose")
	w.line("forwarded_for delete")
	for _, header := range hiddenFromDestination {
		w.line("request_header_access %s deny all", header)
	}
	w.line("# Squid adds to Cache-Control, or makes one up: the client's own, if any, goes out as it came.")
	w.line("acl sent_cache_control req_header Cache-Control .")
	w.line("request_header_access Cache-Control deny all")
	w.line(`request_header_add Cache-Control "%%'{Cache-Control}>h" sent_cache_control`)
	w.line("# Squid announces what it does itself: the client's keep-alive or close, if any, goes out as it came.")
	w.line("acl sent_connection req_header Connection -i ^(keep-alive|close)$")
	w.line("request_header_access Connection deny all")
	w.line(`request_header_add Connection "%%'{Connection}>h" sent_connection`)
	c.outgoing(w)

	w.section("Anonymity: towards the client nothing that names the proxy's software or host")
	w.line("visible_hostname proxy.invalid")
	w.line("error_directory errors")
	w.line("# An answer is Squid's own if it asked no destination, or has an error of its own. No header tells.")
	w.line("acl unforwarded hier_code HIER_NONE")
	w.line("acl failed squid_error %s", strings.Join(errorNames(), " "))
	w.line("reply_header_access Server deny unforwarded")
	w.line("reply_header_access Server deny failed")
	w.line("# Squid keeps a destination's challenge out of its last answer, but not out of those before.")
	w.line("reply_header_access Proxy-Authenticate deny !unforwarded")
	for _, header := range hiddenFromClient {
		w.line("reply_header_access %s deny all", header)
	}
	w.line("# Where a tunnel fails, no rule is asked: Squid's name stays, its version does not.")
	w.line("httpd_suppress_version_string on")
	w.line("# No address below a destination's name is Squid's own.")
	w.line("global_internal_static off")

	w.section("Isolation: nothing of one user's request gets near another's")
	w.line("# A body that a destination does not read is the next request on that connection, so that whoever")
	w.line("# uses it next gets an answer that another user has chosen. No rule can tell such a body.")
	w.line("server_persistent_connections off")
	w.line("# Squid passes on what a destination sends behind these answers, which have no body: with the")
	w.line("# connection, the client lets go of what it would take for its next answer.")
	w.line("acl bodiless http_status 204 304")
	w.line("reply_header_access Connection deny bodiless")
	w.line("reply_header_add Connection close bodiless")
}
