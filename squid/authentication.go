package squid

import (
	"fmt"
	"strings"

	"squidfleet/digest"
)

// Auth says what the proxy asks its clients for.
type Auth string

const (
	// AuthDigest: a password, by Digest.
	AuthDigest Auth = "digest"
	// AuthBasic: a password, by Basic.
	AuthBasic Auth = "basic"
	// AuthAny: a password, by Digest or Basic, as the client likes.
	AuthAny Auth = "any"
	// AuthNone: nothing. The client's address alone counts.
	AuthNone Auth = "none"
)

// Passwords reports whether there are any.
func (a Auth) Passwords() bool { return a != AuthNone }

// Basic reports whether Basic is offered and accepted.
func (a Auth) Basic() bool { return a == AuthBasic || a == AuthAny }

// Digest reports whether Digest is offered and accepted.
func (a Auth) Digest() bool { return a == AuthDigest || a == AuthAny }

// Digest says who checks the clients' credentials.
type Digest string

const (
	// DigestFleet: our own helper, whose nonces hold on every task of a fleet.
	DigestFleet Digest = "fleet"
	// DigestSquid: Squid itself, whose nonces hold in the process that made them.
	DigestSquid Digest = "squid"
)

// AuthOf returns what a rendered configuration asks clients for.
func AuthOf(conf string) Auth {
	has := func(beginning string) bool { return strings.Contains(conf, "\n"+beginning+" ") }
	digest, basic := has("acl "+digestACL) || has("auth_param digest"), has("acl "+basicACL)
	switch {
	case digest && basic:
		return AuthAny
	case digest:
		return AuthDigest
	case basic:
		return AuthBasic
	}
	return AuthNone
}

// Nonces reports whether the tasks hand out nonces of their own, and so share keys.
func (a Auth) Nonces(by Digest) bool { return a.Digest() && by == DigestFleet }

// helperProgram is Squid's Digest helper in Debian's package. fleetHelper is ours, relative to
// Squid's working directory.
const (
	helperProgram = "/usr/lib/squid/digest_file_auth"
	fleetHelper   = "./entrypoint digest"
)

// Squid remembers right Basic credentials, with the address they came from, for so many seconds. A
// client's requests then cost no check. Nothing is revoked meanwhile: a task has the same passwords
// all its life. More time would save one check in thousands. Less is better, because a guess of a
// remembered password does not wait its turn. The entries are room for as many clients as a task
// serves in that time.
const (
	basicSeconds = 60
	basicEntries = 4096
)

// The names of the access lists that ask our helper, and of the one that tells Basic credentials.
const (
	digestACL = "digest"
	basicACL  = "basic"
	hasBasic  = "basic_sent"
)

// authentication writes how credentials are checked, and the ACL authenticated, which later rules
// ask. For the fleet's helper that ACL only looks at the helper's last answer. The rule that
// strangers writes asks the helper itself, once a request.
func (c Config) authentication(w *writer) {
	w.section(map[Auth]string{
		AuthDigest: "Digest authentication", AuthBasic: "Basic authentication",
		AuthAny: "Digest and Basic authentication", AuthNone: "No authentication: the client's address alone",
	}[c.Auth])
	w.line("# Squid would take white space out of a URL. The client's credentials are for the URL with it.")
	w.line("uri_whitespace deny")
	switch {
	case !c.Auth.Passwords():
	case c.Digest == DigestFleet:
		c.fleetHelpers(w)
	default:
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

// fleetHelpers writes our own. The helper's refusals carry the challenges, which Squid hands on. A
// refusal without a challenge is a 503: it comes from a helper that is gone, overloaded or broken.
//
// Each connection waits for one answer at a time, so as many requests as descriptors can wait for
// a slow helper. Requests of clients that gave up wait as well: the queue of a hung helper can
// overflow all the same, and a request is a 503 then.
//
// Digest is checked for each request anew. Basic credentials are good for any URL, and Squid
// remembers right ones: only those, since negative_ttl is 0, and for the address they came from.
// For Basic beside Digest, Squid starts a second helper, which has the first one answer.
func (c Config) fleetHelpers(w *writer) {
	helper := func(acl, remember, format, program string) {
		w.line("external_acl_type %s_helper ipv4 %s children-max=1 children-startup=1 children-idle=1 "+
			"concurrency=%d queue-size=%d %s %s %s",
			acl, remember, digest.Concurrency, c.Descriptors(), format, fleetHelper, program)
	}
	checks := "-passwords " + c.PasswordFile
	if c.Auth.Digest() {
		program := checks + " -keys " + c.KeyFile
		if c.Auth.Basic() {
			program += " -basic -share " + c.SocketFile
			checks = "-from " + c.SocketFile
		}
		helper(digestACL, "ttl=0 negative_ttl=0 grace=0 cache=0", digest.Format, program)
	} else {
		checks += " -basic"
	}
	if c.Auth.Basic() {
		helper(basicACL, fmt.Sprintf("ttl=%d negative_ttl=0 grace=0 cache=%d", basicSeconds, basicEntries),
			digest.BasicFormat, checks)
	}
	challenges := digest.NoteMD5
	if c.Auth.Digest() {
		w.line("acl %s external digest_helper", digestACL)
	} else {
		challenges = digest.NoteBasic
	}
	if c.Auth.Basic() {
		w.line("acl %s external basic_helper", basicACL)
	}
	if c.Auth == AuthAny {
		w.line("acl %s req_header Proxy-Authorization -i ^basic[[:blank:]]", hasBasic)
	}
	w.line("acl authenticated ext_user REQUIRED")
	w.line("acl challenged note %s", challenges)
	if c.Auth.Digest() {
		w.line("acl challenged_sha256 note %s", digest.NoteSHA256)
	}
	w.line("acl guessing note %s", digest.NoteThrottled)
	w.line("# Of these two, the one that matches has the page.")
	w.line("acl explained any-of challenged guessing")
	w.line("deny_info 407:ERR_CACHE_ACCESS_DENIED challenged")
	w.line("deny_info 429:ERR_TOO_MANY_REQUESTS guessing")
	w.line("deny_info 503:ERR_UNAVAILABLE authenticated")
	if c.Auth.Digest() {
		w.line("deny_info 503:ERR_UNAVAILABLE %s", digestACL)
	}
	if c.Auth.Basic() {
		w.line("deny_info 503:ERR_UNAVAILABLE %s", basicACL)
	}
	if c.Auth.Digest() {
		w.line(`reply_header_add Proxy-Authenticate "%%'{%s}note" !authenticated challenged_sha256`, digest.NoteSHA256)
		w.line(`reply_header_add Proxy-Authenticate "%%'{%s}note" !authenticated challenged`, digest.NoteMD5)
	}
	if c.Auth.Basic() { // behind Digest, for clients that take the first one they know
		w.line(`reply_header_add Proxy-Authenticate "Basic realm=\"%s\", charset=\"UTF-8\"" !authenticated challenged`,
			c.Realm)
	}
}

// strangers writes the rules that refuse whoever is not authenticated.
func (c Config) strangers(w *writer) {
	if !c.Auth.Passwords() {
		return
	}
	c.ask(w, "")
	w.line("http_access deny !authenticated")
}

// ask writes the rules that ask our helper about some requests. Right credentials end a rule
// before a list that looks at notes: that one costs Squid a sixth of what a remembered answer does.
func (c Config) ask(w *writer, requests string) {
	switch {
	case !c.Auth.Passwords(), c.Digest != DigestFleet:
	case c.Auth == AuthAny:
		w.line("http_access deny %s%s !%s explained", requests, hasBasic, basicACL)
		w.line("http_access deny %s!authenticated !%s !%s explained", requests, hasBasic, digestACL)
	case c.Auth.Basic():
		w.line("http_access deny %s!%s explained", requests, basicACL)
	default:
		w.line("http_access deny %s!%s explained", requests, digestACL)
	}
}

// admitted is whom the one rule that allows something is for.
func (c Config) admitted() string {
	if c.Auth.Passwords() {
		return "clients authenticated"
	}
	return "clients"
}
