package operator

import (
	"encoding/json"
	"net/netip"
	"regexp"
	"slices"
	"testing"

	"squidfleet/params"
	"squidfleet/proxyimage"
)

// The members of Line are those that squid.conf logs, and the entrypoint's.
func TestLineHasTheMembersOfTheLog(t *testing.T) {
	p, err := params.Parse(map[string]any{})
	if err != nil {
		t.Fatal(err)
	}
	network := proxyimage.Network{
		LoadBalancerCidrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/28")},
		VpcCidrs:          []netip.Prefix{p.VpcCidr},
	}
	text, err := proxyimage.Config(p, network).Render()
	if err != nil {
		t.Fatal(err)
	}
	format := regexp.MustCompile(`(?m)^logformat \w+ (.*)$`).FindStringSubmatch(text)
	if format == nil {
		t.Fatal("squid.conf has no logformat")
	}
	line, err := json.Marshal(Line{})
	if err != nil {
		t.Fatal(err)
	}
	member := regexp.MustCompile(`"\w+":`)
	want := append([]string{`"egress":`}, member.FindAllString(format[1], -1)...)
	if got := member.FindAllString(string(line), -1); !slices.Equal(got, want) {
		t.Errorf("members %q\nthe log has %q", got, want)
	}
}

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
