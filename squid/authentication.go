package squid

import "squidfleet/digest"

// Digest says who checks the clients' credentials.
type Digest string

const (
	// DigestFleet: our own helper, whose nonces hold on every task of a fleet.
	DigestFleet Digest = "fleet"
	// DigestSquid: Squid itself, whose nonces hold in the process that made them.
	DigestSquid Digest = "squid"
)

// helperProgram is Squid's Digest helper in Debian's package. fleetHelper is ours, relative to
// Squid's working directory.
const (
	helperProgram = "/usr/lib/squid/digest_file_auth"
	fleetHelper   = "./entrypoint digest"
)

// authentication writes how credentials are checked, and the ACL authenticated, which later rules
// ask. For the fleet's helper that ACL only looks at the helper's last answer. The rule that
// strangers writes asks the helper itself, once a request.
func (c Config) authentication(w *writer) {
	w.section("Digest authentication")
	w.line("# Squid would take white space out of a URL. The client's credentials are for the URL with it.")
	w.line("uri_whitespace deny")
	if c.Digest == DigestFleet {
		c.fleetDigest(w)
	} else {
		c.squidDigest(w)
	}
}

// squidDigest writes Squid's own Digest. A nonce lives for half an hour. Its counter is not
// checked, because clients that send requests side by side under one nonce would fail, and
// nonce_max_count is more than a client sends in that time. With this concurrency the helper's
// answers, 60 bytes each, fit into one of Squid's reads: see digest.Concurrency.
func (c Config) squidDigest(w *writer) {
	w.line("auth_param digest program %s -c %s", helperProgram, c.PasswordFile)
	w.line("auth_param digest children 2 startup=1 idle=1 concurrency=500")
	w.line("auth_param digest realm %s", c.Realm)
	w.line("auth_param digest nonce_garbage_interval 5 minutes")
	w.line("auth_param digest nonce_max_duration 30 minutes")
	w.line("auth_param digest nonce_max_count 1000000000")
	w.line("auth_param digest check_nonce_count off")
	w.line("acl authenticated proxy_auth REQUIRED")
}

// fleetDigest writes our own. The helper answers each request anew, and its refusals carry the
// challenges, which Squid hands on. A refusal without a challenge is a 503: it comes from a
// helper that is gone, overloaded or broken.
//
// Each connection waits for one answer at a time, so as many requests as descriptors can wait for
// a slow helper. Requests of clients that gave up wait as well: the queue of a hung helper can
// overflow all the same, and a request is a 503 then.
func (c Config) fleetDigest(w *writer) {
	w.line("external_acl_type digest_helper ipv4 ttl=0 negative_ttl=0 grace=0 cache=0 "+
		"children-max=1 children-startup=1 children-idle=1 concurrency=%d queue-size=%d %s %s -passwords %s -keys %s",
		digest.Concurrency, c.descriptors(), digest.Format, fleetHelper, c.PasswordFile, c.KeyFile)
	w.line("acl digest external digest_helper")
	w.line("acl authenticated ext_user REQUIRED")
	w.line("acl challenged note %s", digest.NoteMD5)
	w.line("acl challenged_sha256 note %s", digest.NoteSHA256)
	w.line("acl guessing note %s", digest.NoteThrottled)
	w.line("deny_info 407:ERR_CACHE_ACCESS_DENIED challenged")
	w.line("deny_info 429:ERR_TOO_MANY_REQUESTS guessing")
	w.line("deny_info 503:ERR_UNAVAILABLE authenticated")
	w.line("deny_info 503:ERR_UNAVAILABLE digest")
	w.line(`reply_header_add Proxy-Authenticate "%%'{%s}note" challenged_sha256`, digest.NoteSHA256)
	w.line(`reply_header_add Proxy-Authenticate "%%'{%s}note" challenged`, digest.NoteMD5)
}

// strangers writes the rules that refuse whoever is not authenticated.
func (c Config) strangers(w *writer) {
	if c.Digest == DigestFleet {
		w.line("http_access deny !digest challenged")
		w.line("http_access deny guessing")
	}
	w.line("http_access deny !authenticated")
}

// challenge writes the rules that ask for credentials at a port where nothing follows but refusals.
func (c Config) challenge(w *writer, port string) {
	if c.Digest == DigestFleet {
		w.line("http_access deny %s !digest challenged", port)
	}
	w.line("http_access deny %s !authenticated", port)
}
