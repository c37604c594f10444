package operator

import "testing"

func TestParseLine(t *testing.T) {
	for _, message := range []string{
		"", "entrypoint: SIGTERM", "{", "{}", `{"status":200}`, `{"method":1}`, "[]", "null",
	} {
		if l := parseLine(message); l != nil {
			t.Errorf("%q is a request: %+v", message, l)
		}
	}
	l := parseLine(
		`{"egress":"-","method":"GET","url":"http://x.example/%25zz%22%0A%FF","user":"a%2Bb","userAgent":"100%"}`)
	if l == nil || l.URL != "http://x.example/%zz\"\n\xff" || l.User != "a+b" || l.UserAgent != "100%" {
		t.Errorf("%+v", l)
	}
}

func TestDecodeTakesCutStrings(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "-": "-", "%": "%", "a%2": "a%2", "%41%4": "A%4", "%zz%41": "%zzA", "%+1": "%+1", "%25%32%35": "%25",
	} {
		if got := decode(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
