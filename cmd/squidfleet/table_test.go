package main

import (
	"testing"
	"time"
)

func TestAge(t *testing.T) {
	for text, d := range map[string]time.Duration{
		"0s": 0, "59s": 59 * time.Second, "1m": time.Minute, "59m": time.Hour - 1, "1h00m": time.Hour,
		"23h59m": 24*time.Hour - 1,
		"1d00h":  24 * time.Hour, "400d01h": 400*24*time.Hour + time.Hour,
	} {
		if got := age(d); got != text {
			t.Errorf("%v: %q, want %q", d, got, text)
		}
	}
}

func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"http://example.com/ü?": "http://example.com/ü?",
		"a\x1b[31mb\r\n\x00":    `a\x1b[31mb\x0d\x0a\x00`,
		"a\xffb":                `a\xffb`,
		"a\u202eb\u0085":        `a\u{202e}b\u{85}`, // turns the reading direction; a C1 control
		"a\ufffdb":              "a\ufffdb",
	} {
		if got := printable(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
