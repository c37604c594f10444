package squid

// hiddenFromDestination are the headers that tell of a proxy or of the client behind it, and that Squid passes on when a client or a proxy before this one sends them: those of RFC 9110, RFC 7239 and the
// customary ones, and what the IANA's registry of field names lists under Proxy-.
var hiddenFromDestination = []string{"Via", "Forwarded", "X-Real-IP", "Proxy", "Proxy-Authentication-Info", "Proxy-Features", "Proxy-Instruction", "Proxy-Status", "Proxy-Support"}

// hiddenFromClient are the headers in which Squid, or a cache behind it, tells of itself.
var hiddenFromClient = []string{"Via", "X-Cache", "X-Cache-Lookup", "Cache-Status", "X-Squid-Error"}

// anonymity writes what keeps the proxy out of the destinations' sight, and Squid out of the clients'.
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
	w.line("# Squid announces keep-alive: only for a client that did so itself.")
	w.line("acl sent_connection req_header Connection .")
	w.line("request_header_access Connection deny !sent_connection")
	c.outgoing(w)

	w.section("Anonymity: towards the client nothing that names the proxy's software or host")
	w.line("visible_hostname proxy.invalid")
	w.line("error_directory errors")
	w.line("acl own_answer rep_header X-Squid-Error .")
	w.line("reply_header_access Server deny own_answer")
	w.line("reply_header_access Mime-Version deny own_answer")
	for _, header := range hiddenFromClient {
		w.line("reply_header_access %s deny all", header)
	}
	w.line("# No address below a destination's name is Squid's own.")
	w.line("global_internal_static off")
}
