package operator

import (
	"errors"
	"net/netip"
	"testing"
	"time"
)

func TestPattern(t *testing.T) {
	egress := netip.MustParseAddr("198.51.100.7")
	for want, q := range map[string]LogQuery{
		"":                                {},
		`{ ($.egress = "198.51.100.7") }`: {Egress: egress},
		`{ ($.egress = "198.51.100.7") && ($.user = "a@b") && (($.status = 407) || (($.status >= 500) && ($.status <= 599))) }`: {Egress: egress, User: "a@b", Statuses: []Status{{407, 407}, {500, 599}}},
	} {
		if got := q.pattern(); got != want {
			t.Errorf("%+v: %s", q, got)
		}
	}
}

func TestParseStatus(t *testing.T) {
	for text, want := range map[string]Status{"407": {407, 407}, "4xx": {400, 499}, "5XX": {500, 599}, "000": {0, 0}, "0xx": {0, 99}} {
		if got, err := ParseStatus(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "xx", "4x", "44xx", "axx", "40", "4070", "-40", "+40", "4.5"} {
		if got, err := ParseStatus(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestLogsEndsWithTheReader(t *testing.T) {
	f, aws := connect(t)
	for range 5 {
		if err := aws.Log("198.51.100.1", "a line", time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	full := errors.New("full")
	n := 0
	err := f.Logs(t.Context(), LogQuery{From: time.Now().Add(-time.Hour), Follow: true}, func(Event) error {
		if n++; n == 3 {
			return full
		}
		return nil
	})
	if !errors.Is(err, full) || n != 3 {
		t.Errorf("%d lines, error %v", n, err)
	}
}
