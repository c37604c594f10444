package digest

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestRightPasswordIsAcceptedWithEitherAlgorithm(t *testing.T) {
	v, _ := newVerifier(t, nil)
	for _, alg := range []Algorithm{MD5, SHA256} {
		a := newAttempt(nonceFor(t, v, testClient))
		a.alg = alg
		r := v.Verify(a.request())
		expect(t, r, Accepted)
		if r.User != "proxy" || r.Challenge {
			t.Errorf("%v: user %q, challenge %v", alg, r.User, r.Challenge)
		}
	}
	// None named is MD5: RFC 7616, section 3.3.
	a := newAttempt(nonceFor(t, v, testClient))
	a.alg, a.rewrite = MD5, replace(t, "algorithm=MD5, ", "")
	expect(t, v.Verify(a.request()), Accepted)
}

// Each row is a header that is right but for one thing.
func TestRefusals(t *testing.T) {
	long := strings.Repeat("x", maxHeader)
	rewritten := func(pattern, with string) func(*attempt) {
		return func(a *attempt) { a.rewrite = replace(t, pattern, with) }
	}
	asked := func(path string) func(*attempt) {
		return func(a *attempt) { a.target = "http://origin.example" + path }
	}
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
		{"wrong response", WrongPassword, func(a *attempt) {
			a.rewrite = replace(t, `response="\w{64}"`, `response="`+SHA256.zero()+`"`)
		}},
		{"captured for another method", WrongPassword, func(a *attempt) { a.requestMethod = "POST" }},
		{"captured for another path", TargetMismatch, asked("/other?q=1")},
		{"captured for another query", TargetMismatch, asked("/path?q=2")},
		{"captured for another host, absolute URL", TargetMismatch, func(a *attempt) {
			a.uri, a.target = "http://origin.example/", "http://victim.example/"
		}},
		{"captured for another CONNECT", TargetMismatch, func(a *attempt) {
			a.method, a.uri, a.target = "CONNECT", "origin.example:443", "victim.example:443"
		}},
		{"forged nonce", NonceForeign, func(a *attempt) { a.nonce = "AA" + a.nonce[2:len(a.nonce)-2] + "AA" }},
		{"nonce of another format", NonceForeign, func(a *attempt) { a.nonce = "dcd98b7102dd2f0e8b11d0f600bfb0c093" }},
		{"nonce cut short", NonceForeign, func(a *attempt) { a.nonce = a.nonce[:nonceText-1] }},
		{"nonce with more after it", NonceForeign, func(a *attempt) { a.nonce += "AAAA" }},
		{"nonce not base64", NonceForeign, func(a *attempt) { a.nonce = strings.Repeat("*", nonceText) }},
		{"captured, from another client address", NonceForeign, func(a *attempt) { a.client = testClient.Next() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, _ := newVerifier(t, nil)
			a := newAttempt(nonceFor(t, v, testClient))
			expect(t, v.Verify(a.request()), Accepted) // but for one thing
			c.change(&a)
			r := v.Verify(a.request())
			expect(t, r, c.want)
			if !r.Challenge {
				t.Error("no challenge")
			}
			if stale := c.want == NonceForeign; r.Stale != stale {
				t.Errorf("stale is %v", r.Stale)
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
		v, _ := newVerifier(t, nil)
		a := newAttempt(nonceFor(t, v, testClient))
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

// .NET signs every CONNECT with "/". Such a header, once captured, would open a tunnel to any
// host and port from the same client address until its nonce ends, so it is refused, even though
// its password is right.
func TestCONNECTSignedWithASlashIsRefused(t *testing.T) {
	v, _ := newVerifier(t, nil)
	a := newAttempt(nonceFor(t, v, testClient))
	a.method, a.uri, a.target = "CONNECT", "/", "origin.example:443"
	expect(t, v.Verify(a.request()), TargetMismatch)
	a.uri = a.target
	expect(t, v.Verify(a.request()), Accepted)
}

func TestEveryNonceBitCounts(t *testing.T) {
	v, _ := newVerifier(t, nil)
	a := newAttempt(nonceFor(t, v, testClient))
	var raw [nonceRaw]byte
	if _, err := nonceEncoding.Decode(raw[:], []byte(a.nonce)); err != nil {
		t.Fatal(err)
	}
	for bit := range nonceRaw * 8 {
		forged := raw
		forged[bit/8] ^= 1 << (bit % 8)
		a.nonce = nonceEncoding.EncodeToString(forged[:])
		if r := v.Verify(a.request()); r.Reason != NonceForeign {
			t.Errorf("bit %d: %v", bit, r.Reason)
		}
	}
}

func TestNonceLifeAndClockSkew(t *testing.T) {
	for _, c := range []struct {
		age  time.Duration
		want Reason
	}{
		{-DefaultClockSkew - time.Second, NonceFuture},
		{-DefaultClockSkew, Accepted},
		{0, Accepted},
		{DefaultNonceLife, Accepted},
		{DefaultNonceLife + time.Second, NonceExpired},
		{365 * 24 * time.Hour, NonceExpired},
	} {
		v, clock := newVerifier(t, nil)
		a := newAttempt(nonceFor(t, v, testClient))
		clock.advance(c.age)
		r := v.Verify(a.request())
		expect(t, r, c.want)
		if r.Stale != (c.want != Accepted) {
			t.Errorf("age %v: stale is %v", c.age, r.Stale)
		}
		if r.Stale { // the client goes on with the nonce it got
			a.nonce = string(r.Nonce[:])
			expect(t, v.Verify(a.request()), Accepted)
		}
		// A wrong password is never told that only the nonce is stale.
		a.password = "wrong"
		if r := v.Verify(a.request()); r.Stale || r.Reason != WrongPassword {
			t.Errorf("age %v, wrong password: %v, stale %v", c.age, r.Reason, r.Stale)
		}
	}
}

// A header that is good for another target gets no nonce as for the right
// password, be its own too old or not.
func TestTargetCountsWhateverTheNonceIs(t *testing.T) {
	v, clock := newVerifier(t, nil)
	a := newAttempt(nonceFor(t, v, testClient))
	a.target = "http://origin.example/other"
	for _, age := range []time.Duration{0, -DefaultClockSkew - time.Second, DefaultNonceLife + time.Second} {
		clock.now = testStart.Add(age)
		r := v.Verify(a.request())
		expect(t, r, TargetMismatch)
		if r.Stale {
			t.Errorf("age %v: stale", age)
		}
	}
	a.client = testClient.Next()
	expect(t, v.Verify(a.request()), TargetMismatch)
}

// base64 skips line ends, so that a nonce with them is shorter than it looks.
func TestNonceIsDecodedWhole(t *testing.T) {
	v, _ := newVerifier(t, nil)
	nonce := nonceFor(t, v, testClient)
	c := v.newChecker()
	if state, _ := c.checkNonce([]byte(nonce), testClient, v.nobody, testStart.Unix()); state != nonceValid {
		t.Fatal(state)
	}
	// What the decoder leaves of the checker's last nonce would make it whole.
	short := nonce[:nonceText-8] + strings.Repeat("\n", 4) + nonce[nonceText-8:nonceText-4]
	if state, _ := c.checkNonce([]byte(short), testClient, v.nobody, testStart.Unix()); state != nonceForeign {
		t.Errorf("state %d", state)
	}
}

func TestNonceHoldsOnEveryVerifierWithTheKey(t *testing.T) {
	first, _ := newVerifier(t, nil)
	nonce := nonceFor(t, first, testClient)
	for keys, want := range map[string]Reason{
		testKey:                             Accepted,
		otherTestKey:                        NonceForeign,
		otherTestKey + "\n" + testKey:       Accepted, // rotated: the new key signs, the old one verifies
		testKey + "," + otherTestKey:        Accepted,
		otherTestKey + "\n" + testKey + "x": NonceForeign,
	} {
		v, _ := newVerifier(t, func(c *Config) { c.Keys = mustKeys(t, keys) })
		expect(t, v.Verify(newAttempt(nonce).request()), want)
	}

	// The first key signs.
	rotated, _ := newVerifier(t, func(c *Config) { c.Keys = mustKeys(t, otherTestKey+"\n"+testKey) })
	expect(t, first.Verify(newAttempt(nonceFor(t, rotated, testClient)).request()), NonceForeign)
}

func TestNonceBelongsToOneRealm(t *testing.T) {
	other, _ := newVerifier(t, func(c *Config) { c.Realm = "other" })
	v, _ := newVerifier(t, nil)
	expect(t, v.Verify(newAttempt(nonceFor(t, other, testClient)).request()), NonceForeign)
}

func TestMappedAddressIsTheIPv4Address(t *testing.T) {
	v, _ := newVerifier(t, nil)
	a := newAttempt(nonceFor(t, v, testClient))
	a.client = netip.AddrFrom16(testClient.As16())
	expect(t, v.Verify(a.request()), Accepted)
}

func TestNonceIsBoundToTheWholeIPv6Address(t *testing.T) {
	v, _ := newVerifier(t, nil)
	a := newAttempt(nonceFor(t, v, netip.MustParseAddr("2001:db8::1")))
	a.client = netip.MustParseAddr("2001:db8::2")
	expect(t, v.Verify(a.request()), NonceForeign)
	a.client = netip.MustParseAddr("2001:db8::1")
	expect(t, v.Verify(a.request()), Accepted)
}

func TestNames(t *testing.T) {
	const name = `J"äsøn\ Doe`
	v, _ := newVerifier(t, func(c *Config) { c.Users = append(c.Users, User{Name: name, Password: testPassword}) })
	for form, username := range map[string]string{
		"quoted":           `username="J\\"äsøn\\\\ Doe"`,
		"extended":         `username*=UTF-8''J%22%C3%A4s%c3%b8n%5C%20Doe`,
		"with language":    `Username* = utf-8'de'J%22%C3%A4s%C3%B8n%5C%20Doe`,
		"userhash refused": `username="J\\"äsøn\\\\ Doe", userhash=false`,
	} {
		a := newAttempt(nonceFor(t, v, testClient))
		a.user = name
		header := a.header()
		before, after, _ := strings.Cut(header, `username="`+name+`"`)
		r := v.Verify(&Request{Client: testClient, Method: []byte("GET"), Target: []byte(a.target),
			Header: []byte(before + strings.ReplaceAll(username, `\\`, `\`) + after)})
		if r.Reason != Accepted || r.User != name {
			t.Errorf("%s: %v, user %q", form, r.Reason, r.User)
		}
	}
}

func TestOptionalWhitespaceCaseAndQuotes(t *testing.T) {
	v, _ := newVerifier(t, nil)
	for name, rewrite := range map[string]func(string) string{
		"upper case names":       func(h string) string { return strings.Replace(h, "username", "USERNAME", 1) },
		"scheme in another case": replace(t, "^Digest", "dIGEST"),
		"tabs and spaces":        replace(t, ", ", " \t,\t "),
		"none":                   replace(t, ", ", ","),
		"around equals signs":    replace(t, "qop=auth", "qop = auth"),
		"empty elements":         replace(t, ", qop", ", ,, qop"),
		"comma at the end":       replace(t, "$", ","),
		"everything quoted":      replace(t, `=([A-Za-z0-9-]+),`, `="$1",`),
		"needless escapes":       replace(t, `realm="sq`, `realm="\s\q`),
		"userhash refused":       replace(t, "$", ", userhash=FALSE"),
		"response in upper case": func(h string) string {
			before, after, _ := strings.Cut(h, `response="`)
			return before + `response="` + strings.ToUpper(after[:64]) + after[64:]
		},
		"opaque and unknown ones": replace(t, "$", `, opaque="", auts="x", charset=UTF-8`),
	} {
		a := newAttempt(nonceFor(t, v, testClient))
		a.rewrite = rewrite
		if r := v.Verify(a.request()); r.Reason != Accepted {
			t.Errorf("%s: %v", name, r.Reason)
		}
	}
}

// A file with MD5 hashes alone has nothing to check SHA-256 with, for any user.
func TestHashedUsers(t *testing.T) {
	onlyMD5 := User{Name: "old", MD5: strings.ToUpper(HA1(MD5, "old", testRealm, testPassword))}
	v, _ := newVerifier(t, func(c *Config) { c.Users = append(c.Users, onlyMD5) })
	if offers := v.Offers(); len(offers) != 1 || offers[0] != MD5 {
		t.Fatalf("offers %v", offers)
	}
	for _, user := range []string{"old", "proxy"} {
		a := newAttempt(nonceFor(t, v, testClient))
		a.user = user
		expect(t, v.Verify(a.request()), AlgorithmNotOffered)
		a.alg = MD5
		expect(t, v.Verify(a.request()), Accepted)
	}

	both := User{Name: "proxy", MD5: HA1(MD5, "proxy", testRealm, testPassword)}
	both.SHA256 = HA1(SHA256, "proxy", testRealm, testPassword)
	v, _ = newVerifier(t, func(c *Config) { c.Users = []User{both} })
	if offers := v.Offers(); len(offers) != 2 || offers[0] != SHA256 || offers[1] != MD5 {
		t.Fatalf("offers %v", offers)
	}
	for _, alg := range v.Offers() {
		a := newAttempt(nonceFor(t, v, testClient))
		a.alg = alg
		expect(t, v.Verify(a.request()), Accepted)
	}
}

func TestChallenge(t *testing.T) {
	v, _ := newVerifier(t, nil)
	r := v.Verify(&Request{Client: testClient})
	nonce := string(r.Nonce[:])
	for alg, rest := range map[Algorithm]string{
		SHA256: "SHA-256, charset=UTF-8",
		MD5:    "MD5, charset=UTF-8, stale=true",
	} {
		r.Stale = alg == MD5
		want := `Digest realm="squidfleet", nonce="` + nonce + `", qop="auth", algorithm=` + rest
		if got := string(v.AppendChallenge(nil, alg, &r)); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	if again := nonceFor(t, v, testClient); again == nonce {
		t.Error("the same nonce twice")
	}
}

// Unknown names take the path of known ones: one response is computed for
// either, with the same amount of input; and the stand-in's hash opens nothing.
func TestUnknownUsersCostTheSame(t *testing.T) {
	v, _ := newVerifier(t, nil)
	type call struct{ alg, ha1, calls int }
	var last call
	var stand []byte
	v.respond = func(dst []byte, alg Algorithm, ha1, method []byte, h *header, buf *[]byte) []byte {
		last = call{int(alg), len(ha1), last.calls + 1}
		stand = ha1
		return respond(dst, alg, ha1, method, h, buf)
	}
	for _, alg := range []Algorithm{MD5, SHA256} {
		var calls [2]call
		for i, user := range []string{"proxy", "ghost"} {
			a := newAttempt(nonceFor(t, v, testClient))
			a.alg, a.user, a.password = alg, user, "wrong"
			last = call{}
			v.Verify(a.request())
			calls[i] = last
		}
		if calls[0] != calls[1] || calls[0].calls != 1 {
			t.Errorf("%v: known %v, unknown %v", alg, calls[0], calls[1])
		}

		// Even who knew the stand-in's hash would be refused.
		a := newAttempt(nonceFor(t, v, testClient))
		a.alg, a.user = alg, "ghost"
		var h header
		h.parse([]byte(a.header()), &target{})
		var buf []byte
		response := string(respond(nil, alg, stand, []byte(a.method), &h, &buf))
		a.rewrite = replace(t, `response="\w+"`, `response="`+response+`"`)
		expect(t, v.Verify(a.request()), UnknownUser)
	}
}

// What remains possible: the same header again, from the same address, while
// the nonce lives; and on any host, where uri has no host in it.
func TestReplayIsAcceptedWithinTheNoncesLife(t *testing.T) {
	v, clock := newVerifier(t, nil)
	a := newAttempt(nonceFor(t, v, testClient))
	for range 3 {
		expect(t, v.Verify(a.request()), Accepted)
	}
	a.target = "http://another.example/path?q=1"
	expect(t, v.Verify(a.request()), Accepted)
	clock.advance(DefaultNonceLife + time.Second)
	expect(t, v.Verify(a.request()), NonceExpired)
}
