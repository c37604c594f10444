package squid

// ErrorPages returns the error pages, file name to text: one line each, which names neither the proxy's software nor its host nor the request. Squid warns at its start about
// each of its pages that is missing, so all of its names are there (src/error/forward.h of Squid 5.7 and 6.13).
func ErrorPages() map[string]string {
	pages := map[string]string{}
	for text, names := range errorPages {
		for _, name := range names {
			pages[name] = text + "\n"
		}
	}
	return pages
}

var errorPages = map[string][]string{
	"Bad request.": {"ERR_INVALID_REQ", "ERR_INVALID_URL", "ERR_UNSUP_REQ", "ERR_UNSUP_HTTPVERSION", "ERR_TOO_BIG", "ERR_PROTOCOL_UNKNOWN",
		"ERR_PRECONDITION_FAILED", "ERR_CONFLICT_HOST", "ERR_URN_RESOLVE"},
	"Proxy authentication required.": {"ERR_CACHE_ACCESS_DENIED"},
	"Not allowed by this proxy.": {"ERR_ACCESS_DENIED", "ERR_CACHE_MGR_ACCESS_DENIED", "ERR_FORWARDING_DENIED", "ERR_NO_RELAY", "ERR_FTP_DISABLED",
		"ERR_FTP_FORBIDDEN"},
	"Too many requests from this address.":     {"ERR_TOO_MANY_REQUESTS"},
	"The proxy cannot serve this request now.": {"ERR_UNAVAILABLE"},
	"The destination's answer cannot be used.": {"ERR_INVALID_RESP", "ERR_ZERO_SIZE_OBJECT", "ERR_READ_ERROR", "ERR_WRITE_ERROR", "ERR_GATEWAY_FAILURE",
		"ERR_ICAP_FAILURE", "ERR_ESI", "ERR_DIR_LISTING", "ERR_FTP_FAILURE", "ERR_FTP_PUT_ERROR", "ERR_FTP_NOT_FOUND", "ERR_FTP_PUT_CREATED", "ERR_FTP_PUT_MODIFIED"},
	"The destination cannot be reached.": {"ERR_CONNECT_FAIL", "ERR_SECURE_CONNECT_FAIL", "ERR_DNS_FAIL", "ERR_CANNOT_FORWARD", "ERR_SOCKET_FAILURE",
		"ERR_SHUTTING_DOWN", "ERR_LIFETIME_EXP", "ERR_FTP_UNAVAILABLE"},
	"The destination did not answer in time.": {"ERR_READ_TIMEOUT", "ERR_ONLY_IF_CACHED_MISS"},
	"": {"ERR_SQUID_SIGNATURE"},
}
