package squid

// hiddenFromDestination are the headers that tell of a proxy or of the client behind it, and that Squid passes on when a client or a proxy before this one sends them: those of RFC 9110 and RFC 7239, what the IANA's
// registry of field names lists under Proxy-, and the ones that reverse proxies, application servers and content delivery networks are known to write a client's address, host or scheme into. X-Forwarded-For,
// Proxy-Connection, Proxy-Authenticate and Max-Forwards are Squid's own business.
var hiddenFromDestination = []string{
	"Via", "Forwarded",
	"Proxy", "Proxy-Authentication-Info", "Proxy-Features", "Proxy-Instruction", "Proxy-Status", "Proxy-Support",
	"X-Forwarded", "X-Forwarded-By", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Proto", "X-Forwarded-Scheme", "X-Forwarded-Server", "X-Forwarded-Ssl", "X-Original-Forwarded-For", "Forwarded-For",
	"X-Real-IP", "X-Client-IP", "Client-IP", "True-Client-IP", "X-Cluster-Client-IP", "X-Originating-IP", "X-Remote-IP", "X-Remote-Addr", "CF-Connecting-IP", "Fastly-Client-IP",
	"Proxy-Client-IP", "WL-Proxy-Client-IP", "X-ProxyUser-IP", "X-BlueCoat-Via", "Surrogate-Capability",
}

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
