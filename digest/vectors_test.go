package digest

import "testing"

// The examples of RFC 7616, section 3.9.1, and RFC 2617, section 3.5, from the
// header as printed there to the response.
func TestVectorsOfTheRFCs(t *testing.T) {
	const rfc7616 = `Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", ` +
		`nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001, ` +
		`cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth, ` +
		`opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS", `
	for name, c := range map[string]struct{ header, password, response string }{
		"RFC 7616 MD5": {rfc7616 + `algorithm=MD5, response="8ca523f5e9506fed4657c9700eebdbec"`,
			"Circle of Life", "8ca523f5e9506fed4657c9700eebdbec"},
		"RFC 7616 SHA-256": {rfc7616 + `algorithm=SHA-256, ` +
			`response="753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"`,
			"Circle of Life", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"},
		"RFC 2617": {`Digest username="Mufasa", realm="testrealm@host.com", ` +
			`nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", uri="/dir/index.html", ` +
			`qop=auth, nc=00000001, cnonce="0a4f113b", response="6629fae49393a05397450978507c4ef1", ` +
			`opaque="5ccc069c403ebaf9f0171e9517f40e41"`,
			"Circle Of Life", "6629fae49393a05397450978507c4ef1"},
	} {
		t.Run(name, func(t *testing.T) {
			var h header
			if reason := h.parse([]byte(c.header), &target{}); reason != Accepted {
				t.Fatal(reason)
			}
			alg, reason := h.check(string(h.realm), true)
			if reason != Accepted {
				t.Fatal(reason)
			}
			if string(h.response) != c.response {
				t.Fatalf("the header's response is read as %q", h.response)
			}
			var buf []byte
			ha1 := HA1(alg, string(h.username), string(h.realm), c.password)
			if got := respond(nil, alg, []byte(ha1), []byte("GET"), &h, &buf); string(got) != c.response {
				t.Errorf("response %s, want %s", got, c.response)
			}
		})
	}
}
