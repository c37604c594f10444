package digest

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// The examples of RFC 7616, section 3.9.1, and RFC 2617, section 3.5, from the header as printed
// there to the response.
func TestVectorsOfTheRFCs(t *testing.T) {
	const rfc7616 = `Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", ` +
		`nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001, ` +
		`cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth, ` +
		`opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS", `
	for name, c := range map[string]struct{ header, password, response string }{
		"RFC 7616 MD5": {rfc7616 + `algorithm=MD5, `, "Circle of Life", "8ca523f5e9506fed4657c9700eebdbec"},
		"RFC 7616 SHA-256": {rfc7616 + `algorithm=SHA-256, `, "Circle of Life",
			"753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"},
		"RFC 2617": {`Digest username="Mufasa", realm="testrealm@host.com", ` +
			`nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", uri="/dir/index.html", qop=auth, nc=00000001, ` +
			`cnonce="0a4f113b", opaque="5ccc069c403ebaf9f0171e9517f40e41", `,
			"Circle Of Life", "6629fae49393a05397450978507c4ef1"},
	} {
		var h header
		if reason := h.parse([]byte(c.header+`response="`+c.response+`"`), &target{}); reason != Accepted {
			t.Fatal(name, reason)
		}
		alg, reason := h.check(string(h.realm), true)
		if reason != Accepted || string(h.response) != c.response {
			t.Fatalf("%s: %v, the header's response is read as %q", name, reason, h.response)
		}
		var buf []byte
		ha1 := HA1(alg, string(h.username), string(h.realm), c.password)
		if got := respond(nil, alg, []byte(ha1), []byte("GET"), &h, &buf); string(got) != c.response {
			t.Errorf("%s: response %s, want %s", name, got, c.response)
		}
	}
}

// A file with MD5 hashes alone has nothing to check SHA-256 with, for any user.
func TestAlgorithms(t *testing.T) {
	for _, c := range []struct {
		old  map[string]string
		want Reason // with SHA-256
	}{
		{nil, Accepted}, {map[string]string{"old": testPassword}, AlgorithmNotOffered},
	} {
		v, _, a := newVerifier(t, func(config *config) { config.old = c.old })
		for a.user = range v.users {
			a.alg, a.rewrite = SHA256, nil
			a.expect(t, v, c.want)
			a.alg = MD5
			if r := a.expect(t, v, Accepted); r.User != a.user || r.Challenge {
				t.Errorf("user %q, challenge %v", r.User, r.Challenge)
			}
			// None named is MD5: RFC 7616, section 3.3.
			a.rewrite = replace("algorithm=MD5, ", "")
			a.expect(t, v, Accepted)
		}
	}
}

// Each row is a header that is right but for one thing.
func TestRefusals(t *testing.T) {
	long := strings.Repeat("x", maxHeader)
	for _, c := range []struct {
		name   string
		want   Reason
		change func(*attempt)
	}{
		{"no header", NoCredentials, rewritten(".*", "")},
		{"another scheme", NotDigest, rewritten(".+", "Basic cHJveHk6cHJveHk=")},
		{"a longer scheme", NotDigest, rewritten("^Digest", "Digester")},
		{"a shorter scheme", NotDigest, rewritten(".+", "Dig")},
		{"scheme only", HeaderMalformed, rewritten(" .*", "")},
		{"scheme and comma", HeaderMalformed, rewritten("^Digest ", "Digest,")},
		{"no space before parameters", HeaderMalformed, rewritten("^Digest ", `Digest"`)},
		{"too long", HeaderTooLong, rewritten("$", `, x="`+long+`"`)},
		{"too many parameters", HeaderTooLong, rewritten("$", strings.Repeat(",", maxParams))},
		{"quote not closed", HeaderMalformed, rewritten(`"$`, "")},
		{"nothing after the backslash", HeaderMalformed, rewritten(`"$`, `\`)},
		{"control byte", HeaderMalformed, rewritten(`"$`, "\x01\"")},
		{"escaped control byte", HeaderMalformed, rewritten(`"$`, "\\\n\"")},
		{"no comma", HeaderMalformed, rewritten(", qop", " qop")},
		{"no equals sign", HeaderMalformed, rewritten("qop=auth", "qop")},
		{"another sign", HeaderMalformed, rewritten("qop=auth", "qop:auth")},
		{"no name", HeaderMalformed, rewritten("qop=auth", "=auth")},
		{"no value", HeaderMalformed, rewritten("qop=auth", "qop=")},
		{"text at the end", HeaderMalformed, rewritten("$", " Digest")},
		{"a parameter twice", ParameterRepeated, rewritten("$", `, QOP=auth`)},
		{"an unknown parameter twice", ParameterRepeated, rewritten("$", `, x=1, X=1`)},
		{"opaque twice", ParameterRepeated, rewritten("$", `, opaque="a", opaque="a"`)},
		{"two names", ParameterRepeated, rewritten("$", `, username*=UTF-8''proxy`)},
		{"no username", ParameterMissing, rewritten(`username="\w+", `, "")},
		{"no realm", ParameterMissing, rewritten(`realm="\w+", `, "")},
		{"no nonce", ParameterMissing, rewritten(` nonce="[^"]+",`, "")},
		{"no uri", ParameterMissing, rewritten(`uri="[^"]+", `, "")},
		{"no response", ParameterMissing, rewritten(`response="\w+", `, "")},
		{"no cnonce", ParameterMissing, rewritten(`, cnonce=.*`, "")},
		{"no nc", ParameterMissing, rewritten(`nc=\w+, `, "")},
		{"RFC 2069, no qop", ParameterMissing, rewritten(`qop=auth, `, "")},
		{"username* in another charset", HeaderMalformed, rewritten(`username="\w+"`, "username*=ISO-8859-1''proxy")},
		{"username* quoted", HeaderMalformed, rewritten(`username="\w+"`, `username*="UTF-8''proxy"`)},
		{"username* cut short", HeaderMalformed, rewritten(`username="\w+"`, "username*=UTF-8''proxy%7")},
		{"username* not UTF-8", HeaderMalformed, rewritten(`username="\w+"`, "username*=UTF-8''proxy%ff")},
		{"username* not encoded", HeaderMalformed, rewritten(`username="\w+"`, "username*=UTF-8''pro'xy")},
		{"username* without language", HeaderMalformed, rewritten(`username="\w+"`, "username*=UTF-8'proxy")},
		{"empty name", HeaderMalformed, rewritten(`username="\w+"`, `username=""`)},
		{"long name", HeaderMalformed, func(a *attempt) { a.user = strings.Repeat("x", maxUserName+1) }},
		{"empty cnonce", HeaderMalformed, func(a *attempt) { a.cnonce = "" }},
		{"long cnonce", HeaderMalformed, func(a *attempt) { a.cnonce = strings.Repeat("x", maxCnonce+1) }},
		{"short nc", HeaderMalformed, func(a *attempt) { a.nc = "1" }},
		{"nc of nothing", HeaderMalformed, func(a *attempt) { a.nc = "00000000" }},
		{"nc not hex", HeaderMalformed, func(a *attempt) { a.nc = "0000000g" }},
		{"short response", HeaderMalformed, rewritten(`response="\w`, `response="`)},
		{"response not hex", HeaderMalformed, rewritten(`response="\w`, `response="x`)},
		{"response of the other algorithm", HeaderMalformed, rewritten("SHA-256", "MD5")},
		{"empty uri", HeaderMalformed, func(a *attempt) { a.uri = "" }},
		{"userhash", UserhashRefused, rewritten("$", ", userhash=true")},
		{"userhash empty", UserhashRefused, rewritten("$", `, userhash=""`)},
		{"userhash garbage", UserhashRefused, rewritten("$", ", userhash=yes")},
		{"SHA-256-sess", SessionAlgorithm, rewritten("SHA-256", "SHA-256-sess")},
		{"md5-SESS", SessionAlgorithm, rewritten("SHA-256", `"md5-SESS"`)},
		{"SHA-512-256", AlgorithmNotOffered, rewritten("SHA-256", "SHA-512-256")},
		{"empty algorithm", AlgorithmNotOffered, rewritten("=SHA-256", `=""`)},
		{"auth-int", QopNotOffered, rewritten("qop=auth", "qop=auth-int")},
		{"list of qop", QopNotOffered, rewritten("qop=auth", `qop="auth,auth-int"`)},
		{"another realm", RealmMismatch, func(a *attempt) { a.realm = "elsewhere" }},
		{"unknown user", UnknownUser, func(a *attempt) { a.user = "nobody" }},
		{"name in another case", UnknownUser, func(a *attempt) { a.user = "Proxy" }},
		{"wrong password", WrongPassword, func(a *attempt) { a.password = "wrong" }},
		{"wrong response", WrongPassword, rewritten(`response="\w{64}"`, `response="`+strings.Repeat("0", 64)+`"`)},
		{"captured for another method", WrongPassword, func(a *attempt) { a.requestMethod = "POST" }},
		{"nonce of another format", NonceForeign, func(a *attempt) { a.nonce = "dcd98b7102dd2f0e8b11d0f600bfb0c093" }},
		{"nonce cut short", NonceForeign, func(a *attempt) { a.nonce = a.nonce[:nonceText-1] }},
		{"nonce with more after it", NonceForeign, func(a *attempt) { a.nonce += "AAAA" }},
		{"nonce not base64", NonceForeign, func(a *attempt) { a.nonce = strings.Repeat("*", nonceText) }},
		{"captured, from another client address", NonceForeign, func(a *attempt) { a.client = testClient.Next() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, _, a := newVerifier(t, nil)
			a.expect(t, v, Accepted) // but for one thing
			c.change(&a)
			r := a.expect(t, v, c.want)
			if !r.Challenge || r.Stale != (c.want == NonceForeign) {
				t.Errorf("challenge %v, stale %v", r.Challenge, r.Stale)
			}
		})
	}
}

// A uri is read as the grammar has it, or literally if it then is the target. The written form is
// not what is hashed.
func TestReadingsOfURI(t *testing.T) {
	const connect = "origin.example:443"
	for _, c := range []struct {
		target, signed, written string
		want                    Reason
	}{
		{`/a?x\y`, `/a?x\y`, `/a?x\\y`, Accepted},                              // Chromium
		{`/a?x\y`, `/a?x\y`, `/a?x\y`, Accepted},                               // curl
		{`/a?x\y`, `http://o/a?x\y`, `http://o/a?x\y`, Accepted},               // Java
		{`/?x\y`, `http://o?x\y`, `http://o?x\y`, Accepted},                    // urllib
		{`/a"b"`, `/a"b"`, `/a\"b\"`, Accepted},                                //
		{`/a"b"`, `/a"b"`, `/a"b"`, Accepted},                                  // curl
		{`/a",b="c`, `/a",b="c`, `/a",b="c`, Accepted},                         // curl, with a parameter in its URL
		{`/a", nc="1`, `/a", nc="1`, `/a", nc="1`, Accepted},                   //
		{`/a\`, `/a\`, `/a\`, Accepted},                                        // curl: the quote is not escaped
		{`/a\\b`, `/a\\b`, `/a\\b`, Accepted},                                  //
		{`/a\\b`, `/a\\b`, `/a\\\\b`, Accepted},                                //
		{`/path`, `/path`, `\/p\ath`, Accepted},                                // needless escapes
		{`/a\\b`, `/a\b`, `/a\\b`, WrongPassword},                              // escaped for another target
		{`/a\b`, `/a\\b`, `/a\\b`, WrongPassword},                              // unescaped for another target
		{`/a\c`, `/a\b`, `/a\b`, WrongPassword},                                //
		{`/a`, `/a\b`, `/a\\b`, TargetMismatch},                                //
		{`/a`, `/a",b="c`, `/a",b="c`, WrongPassword},                          // a shorter reading of the same header
		{`/a"b`, `/a",b="c`, `/a",b="c`, WrongPassword},                        //
		{`/a"b"c`, `/a"b"`, `/a"b"`, HeaderMalformed},                          // no reading
		{`/a"b"`, `/a"b"`, `/a"b" x`, HeaderMalformed},                         // more behind it
		{`/a`, `http://x/a`, `http://x/a`, TargetMismatch},                     //
		{`/a\b`, `http://x/a\b`, `http://x/a\\b`, TargetMismatch},              //
		{`/a\b`, `http://x/a\b`, `http://x/a\b`, WrongPassword},                //
		{`/a\b`, `https://o/a\b`, `https://o/a\\b`, TargetMismatch},            //
		{connect, connect, `origin\.example:443`, Accepted},                    //
		{connect, `origin\.example:443`, `origin\.example:443`, WrongPassword}, // no literal reading of CONNECT
	} {
		v, _, a := newVerifier(t, nil)
		a.uri, a.target = c.signed, "http://o"+c.target
		if c.target == connect {
			a.method, a.target = "CONNECT", connect
		}
		a.rewrite = func(header string) string {
			return strings.Replace(header, `uri="`+c.signed+`"`, `uri="`+c.written+`"`, 1)
		}
		if r := v.Verify(a.request()); r.Reason != c.want {
			t.Errorf("%s signed, %s written for %s: %v, want %v", c.signed, c.written, c.target, r.Reason, c.want)
		}
	}
}

func TestFormsOfAHeader(t *testing.T) {
	const name = `J"äsøn\ Doe`
	v, _, good := newVerifier(t, func(c *config) { c.users[name] = testPassword })
	named := func(written string) func(*attempt) {
		return func(a *attempt) {
			a.user = name
			a.rewrite = func(h string) string { return strings.Replace(h, `username="`+name+`"`, written, 1) }
		}
	}
	for form, change := range map[string]func(*attempt){
		"a quoted name":          named(`username="J\"äsøn\\ Doe"`),
		"an extended name":       named(`username*=UTF-8''J%22%C3%A4s%c3%b8n%5C%20Doe`),
		"a name with a language": named(`Username* = utf-8'de'J%22%C3%A4s%C3%B8n%5C%20Doe`),
		"upper case names":       rewritten("username", "USERNAME"),
		"scheme in another case": rewritten("^Digest", "dIGEST"),
		"tabs and spaces":        rewritten(", ", " \t,\t "),
		"none":                   rewritten(", ", ","),
		"around equals signs":    rewritten("qop=auth", "qop = auth"),
		"empty elements":         rewritten(", qop", ", ,, qop"),
		"comma at the end":       rewritten("$", ","),
		"everything quoted":      rewritten(`=([A-Za-z0-9-]+),`, `="$1",`),
		"needless escapes":       rewritten(`realm="sq`, `realm="\s\q`),
		"userhash refused":       rewritten("$", ", userhash=FALSE"),
		"response in upper case": func(a *attempt) {
			a.rewrite = func(h string) string {
				before, after, _ := strings.Cut(h, `response="`)
				return before + `response="` + strings.ToUpper(after[:64]) + after[64:]
			}
		},
		"opaque and unknown ones": rewritten("$", `, opaque="", auts="x", charset=UTF-8`),
	} {
		a := good
		change(&a)
		if r := a.expect(t, v, Accepted); r.User != a.user {
			t.Errorf("%s: user %q", form, r.User)
		}
	}
}

// The first key signs, all of them verify. The nonce is for one realm and one whole address.
func TestWhereANonceHolds(t *testing.T) {
	const v4, v6 = "198.51.100.7", "2001:db8::1"
	for _, c := range []struct {
		name, asked, sent, realm, keys string
		want                           Reason
	}{
		{"the same", v4, v4, testRealm, testKey, Accepted},
		{"another key", v4, v4, testRealm, otherTestKey, NonceForeign},
		{"a new key in front", v4, v4, testRealm, otherTestKey + "\n" + testKey, Accepted},
		{"a new key behind", v4, v4, testRealm, testKey + "," + otherTestKey, Accepted},
		{"a longer key", v4, v4, testRealm, otherTestKey + "\n" + testKey + "x", NonceForeign},
		{"another realm", v4, v4, "other", testKey, NonceForeign},
		{"another address", v4, "198.51.100.8", testRealm, testKey, NonceForeign},
		{"IPv4 in IPv6", v4, "::ffff:198.51.100.7", testRealm, testKey, Accepted},
		{"IPv6", v6, v6, testRealm, testKey, Accepted},
		{"IPv6 in the same /64", v6, "2001:db8::2", testRealm, testKey, NonceForeign},
	} {
		maker, _, _ := newVerifier(t, nil)
		v, _, _ := newVerifier(t, func(config *config) { config.realm, config.keys = c.realm, c.keys })
		a := newAttempt(nonceFor(t, maker, netip.MustParseAddr(c.asked)))
		a.client, a.realm = netip.MustParseAddr(c.sent), c.realm
		if r := v.Verify(a.request()); r.Reason != c.want {
			t.Errorf("%s: %v, want %v", c.name, r.Reason, c.want)
		}
		if strings.HasPrefix(c.keys, otherTestKey) { // which signs
			a.nonce = nonceFor(t, v, a.client)
			a.expect(t, maker, NonceForeign)
		}
	}
}

func TestEveryNonceBitCounts(t *testing.T) {
	v, _, a := newVerifier(t, nil)
	var raw [nonceRaw]byte
	if _, err := nonceEncoding.Decode(raw[:], []byte(a.nonce)); err != nil {
		t.Fatal(err)
	}
	for bit := range nonceRaw * 8 {
		forged := raw
		forged[bit/8] ^= 1 << (bit % 8)
		a.nonce = nonceEncoding.EncodeToString(forged[:])
		a.expect(t, v, NonceForeign)
	}
	if first := nonceFor(t, v, testClient); nonceFor(t, v, testClient) == first {
		t.Error("the same nonce twice")
	}
}

func TestNonceLifeAndClockSkew(t *testing.T) {
	for age, want := range map[time.Duration]Reason{
		-clockSkew - time.Second: NonceFuture, -clockSkew: Accepted, 0: Accepted, nonceLife: Accepted,
		nonceLife + time.Second: NonceExpired, 365 * 24 * time.Hour: NonceExpired,
	} {
		v, clock, a := newVerifier(t, nil)
		clock.advance(age)
		if want != Accepted {
			// A wrong password is never told that only the nonce is stale. Nor is another target's.
			elsewhere := a
			elsewhere.target = "http://origin.example/other"
			for reason, other := range map[Reason]attempt{WrongPassword: a.wrong(), TargetMismatch: elsewhere} {
				if r := other.expect(t, v, reason); r.Stale {
					t.Errorf("age %v: %v is stale", age, reason)
				}
			}
			a.renew(t, v, want)
		}
		a.expect(t, v, Accepted)
	}
}

// base64 skips line ends, so that a nonce with them is shorter than it looks.
func TestNonceIsDecodedWhole(t *testing.T) {
	v, _, a := newVerifier(t, nil)
	a.expect(t, v, Accepted)
	// What the decoder leaves of the verifier's last nonce would make it whole.
	short := a.nonce[:nonceText-8] + strings.Repeat("\n", 4) + a.nonce[nonceText-8:nonceText-4]
	if reason, _, _ := v.checkNonce([]byte(short), testClient, v.nobody, testStart.Unix()); reason != NonceForeign {
		t.Errorf("reason %q", reason)
	}
}

// Unknown names take the path of known ones: one response is computed for either, from a hash of
// the same length; and the stand-in's hash opens nothing.
func TestUnknownUsersCostTheSame(t *testing.T) {
	v, _, good := newVerifier(t, nil)
	for _, alg := range []Algorithm{MD5, SHA256} {
		good.alg = alg
		computed := func(a attempt) string {
			user, _ := v.user([]byte(a.user))
			var h header
			h.parse([]byte(a.header()), &target{})
			var buf []byte
			if n := len(user.ha1[alg]); n != alg.digits() {
				t.Errorf("%v %s: a hash of %d digits", alg, a.user, n)
			}
			return string(respond(nil, alg, user.ha1[alg], []byte(a.method), &h, &buf))
		}
		ghost := good
		ghost.user = "ghost"
		for _, a := range []attempt{good.wrong(), ghost} {
			v.want = nil
			if v.Verify(a.request()); string(v.want) != computed(a) {
				t.Errorf("%v %s: computed is %q", alg, a.user, v.want)
			}
		}
		// Even who knew the stand-in's hash would be refused.
		ghost.rewrite = replace(`response="\w+"`, `response="`+computed(ghost)+`"`)
		ghost.expect(t, v, UnknownUser)
	}
}

// The garbage of a busy proxy's helper is its latency.
func TestChecksDoNotAllocate(t *testing.T) {
	v, _, good := newVerifier(t, func(c *config) { c.keys = testKey + " " + otherTestKey })
	for _, alg := range []Algorithm{MD5, SHA256} {
		for name, change := range map[string]func(*attempt){
			"accepted":       func(*attempt) {},
			"no credentials": rewritten(".*", ""),
			"foreign nonce":  func(a *attempt) { a.nonce = strings.Repeat("A", nonceText) },
			"unknown user":   func(a *attempt) { a.user = "nobody" },
		} {
			a := good
			a.alg = alg
			change(&a)
			request := a.request()
			header := bytes.Clone(request.Header)
			check := func() {
				request.Header = append(request.Header[:0], header...)
				v.Verify(request)
			}
			check()
			if n := testing.AllocsPerRun(100, check); n != 0 {
				t.Errorf("%v %s: %v allocations", alg, name, n)
			}
		}
	}
}
