package squid

// proxyID names the proxy in Proxy-Status. It tells nothing of the software behind it.
const proxyID = "squidfleet"

// proxyStatus writes the header Proxy-Status (RFC 9209) on the proxy's own answers, with the reason
// as one of the registered types, and keeps it out of a destination's.
//
// An answer is Squid's own if no destination was asked, or if Squid has an error that no parsed
// answer goes with. A destination that breaks its answer off can leave Squid with the same errors
// as one that sends none. There the answer also needs Squid's status and Squid's X-Squid-Error, by
// then a note. So an answer that only pretends to be Squid's is always cut off.
//
// X-Squid-Error also tells more than an ACL can ask for: the error page of a rule, and the
// system's error. Its value is noted at the moment when Squid judges that header, which is when it
// is there for certain: see anonymity.
func (c Config) proxyStatus(w *writer) {
	w.section("The proxy's own answers: Proxy-Status, which no destination can send")
	w.line(`acl told annotate_transaction told_="%%#.64{X-Squid-Error}<h"`)
	w.line("reply_header_access X-Squid-Error deny told")
	w.line("reply_header_access Proxy-Status deny all")
	w.line("# The note holds a page and a number, PAGE%%20NUMBER.")
	w.line("acl prohibited note -m=%% told_ %s", prohibitedPage)
	w.line("acl unresolved note -m=%% told_ %s", unresolvedPage)
	w.line("acl denied http_status 403 407 429")
	w.line("acl bad_request http_status 400-402 404-406 408-428 430-499 501 505")
	w.line("acl uncached http_status 504")
	w.line("acl out_of_order http_status 500 503")
	own := func(kind, acls string) {
		w.line(`reply_header_add Proxy-Status "%s; error=%s" %s`, proxyID, kind, acls)
	}
	own("destination_ip_prohibited", "unforwarded prohibited")
	own("dns_error", "unforwarded unresolved")
	w.line("# The rules saw another address than there is now. Squid takes that for an error of reading.")
	w.line("acl bad_gateway http_status 502")
	own("destination_ip_prohibited", "unforwarded bad_gateway")
	own("http_request_denied", "unforwarded denied !prohibited")
	own("http_request_error", "unforwarded bad_request")
	own("proxy_internal_response", "unforwarded uncached")
	own("proxy_internal_error", "unforwarded out_of_order !unresolved")

	w.line("# Linux: 110 is ETIMEDOUT, 111 ECONNREFUSED, 101 ENETUNREACH, 113 EHOSTUNREACH.")
	w.line("acl unconnected squid_error ERR_CONNECT_FAIL")
	w.line("acl timed_out note -m=%% told_ 20110")
	w.line("acl refused note -m=%% told_ 20111")
	w.line("acl unroutable note -m=%% told_ 20101 20113")
	own("connection_timeout", "unconnected timed_out")
	own("connection_refused", "unconnected refused")
	own("destination_ip_unroutable", "unconnected unroutable")
	own("destination_unavailable", "unconnected !timed_out !refused !unroutable")

	w.line("acl empty_answer squid_error ERR_ZERO_SIZE_OBJECT")
	w.line("acl unusable_answer squid_error ERR_INVALID_RESP")
	w.line("acl long_answer squid_error ERR_TOO_BIG")
	own("connection_terminated", "empty_answer")
	own("http_protocol_error", "unusable_answer")
	own("http_response_header_section_size", "long_answer")

	w.line("# With these two, what a destination sent before may be the answer.")
	w.line("acl broken_off squid_error ERR_READ_ERROR ERR_WRITE_ERROR")
	w.line("acl broken_off_page note -m=%% told_ ERR_READ_ERROR ERR_WRITE_ERROR")
	w.line("acl silent squid_error ERR_READ_TIMEOUT")
	w.line("acl silent_page note -m=%% told_ ERR_READ_TIMEOUT")
	own("connection_terminated", "broken_off broken_off_page bad_gateway !unforwarded")
	own("connection_read_timeout", "silent silent_page uncached")
}
