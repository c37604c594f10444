package squid

import (
	"maps"
	"slices"
)

// ErrorPages returns the error pages, file name to text: one line each, without the proxy's
// software, its host or the request. All of Squid's names are there (src/error/forward.h of Squid
// 5.7 and 6.13), because it warns at its start about each one that is missing.
func ErrorPages() map[string]string {
	pages := map[string]string{}
	for text, names := range errorPages {
		for _, name := range names {
			pages[name] = text + "\n"
		}
	}
	return pages
}

// Pages that are no errors of Squid: a part of its usual pages, and two of this configuration.
const (
	signature   = "ERR_SQUID_SIGNATURE"
	tooMany     = "ERR_TOO_MANY_REQUESTS"
	unavailable = "ERR_UNAVAILABLE"
)

// Pages of refusals whose reason Proxy-Status tells, as deny_info has them. The rule for the second
// has another status than Squid's usual one.
const (
	prohibitedPage = "ERR_FORWARDING_DENIED"
	unresolvedPage = "503:ERR_DNS_FAIL"
)

// errorNames are all errors of Squid's own that have a page.
func errorNames() []string {
	pages := slices.Sorted(maps.Keys(ErrorPages()))
	return slices.DeleteFunc(pages, func(name string) bool {
		return name == signature || name == tooMany || name == unavailable
	})
}

// errorPages are the names by what is said. Squid has one page for headers that are too long,
// whoever has sent them.
var errorPages = map[string][]string{
	"Bad request.": {
		"ERR_INVALID_REQ", "ERR_INVALID_URL", "ERR_UNSUP_REQ", "ERR_UNSUP_HTTPVERSION", "ERR_PROTOCOL_UNKNOWN",
		"ERR_PRECONDITION_FAILED", "ERR_CONFLICT_HOST", "ERR_URN_RESOLVE",
	},
	"The request is too long (status 4xx), or the destination's answer cannot be used (502).": {"ERR_TOO_BIG"},

	"Proxy authentication required.":       {"ERR_CACHE_ACCESS_DENIED"},
	"Too many requests from this address.": {tooMany},
	"Not allowed by this proxy.": {
		"ERR_ACCESS_DENIED", "ERR_CACHE_MGR_ACCESS_DENIED", "ERR_FORWARDING_DENIED", "ERR_NO_RELAY",
		"ERR_FTP_DISABLED", "ERR_FTP_FORBIDDEN",
	},
	"The proxy cannot serve this request now.": {
		unavailable, "ERR_GATEWAY_FAILURE", "ERR_SOCKET_FAILURE", "ERR_SHUTTING_DOWN", "ERR_LIFETIME_EXP",
	},
	"The proxy has no cache.": {"ERR_ONLY_IF_CACHED_MISS"},
	"The destination's answer cannot be used.": {
		"ERR_INVALID_RESP", "ERR_ZERO_SIZE_OBJECT", "ERR_READ_ERROR", "ERR_WRITE_ERROR", "ERR_ICAP_FAILURE",
		"ERR_ESI", "ERR_DIR_LISTING", "ERR_FTP_FAILURE", "ERR_FTP_PUT_ERROR", "ERR_FTP_NOT_FOUND",
		"ERR_FTP_PUT_CREATED", "ERR_FTP_PUT_MODIFIED",
	},
	"The destination cannot be reached.": {
		"ERR_CONNECT_FAIL", "ERR_SECURE_CONNECT_FAIL", "ERR_DNS_FAIL", "ERR_CANNOT_FORWARD", "ERR_FTP_UNAVAILABLE",
	},
	"The destination did not answer in time.": {"ERR_READ_TIMEOUT"},
	"": {signature},
}
