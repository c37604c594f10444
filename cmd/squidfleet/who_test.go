package main

import (
	"testing"
	"time"
)

func TestParseTime(t *testing.T) {
	want := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for _, text := range []string{
		"2026-03-04T05:06:07Z", "2026-03-04 05:06:07 Z", "2026-03-04T05:06:07.0+00:00", "2026-03-04  06:06:07 +0100",
		"2026-03-04 00:06:07 -0500", "2026-03-04 05:06:07 UTC", "Wed, 04 Mar 2026 05:06:07 GMT",
		"4 Mar 2026 05:06:07 GMT", "04/Mar/2026:06:06:07 +0100", "2026-03-04 06:06:07 Europe/Berlin",
		"2026-03-04T14:06:07 Asia/Tokyo", "2026-03-04 02:06:07 America/Argentina/Buenos_Aires", "1772600767",
	} {
		if got, err := parseTime(text); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	if got, err := parseTime("2026-03-04 05:06 +0000"); err != nil || !got.Equal(want.Truncate(time.Minute)) {
		t.Errorf("without seconds: %v, %v", got, err)
	}
	for text, complaint := range map[string]string{
		"2026-03-04T05:06:07": `"2026-03-04T05:06:07" has no zone, or one with several meanings: add Z, ` +
			"an offset such as +0100, or a name such as Europe/Berlin",
		"2026-03-04 05:06:07 CST": `"2026-03-04 05:06:07 CST" has no zone, or one with several meanings: add Z, ` +
			"an offset such as +0100, or a name such as Europe/Berlin",
		"2026-03-04 05:06 Mars/Phobos": `this machine knows no zone "Mars/Phobos": give an offset such as +0100`,
		"yesterday Z":                  `"yesterday Z" is no time: write it as 2026-03-04T05:06:07Z`,
		"2026-02-30T05:06:07Z":         `"2026-02-30T05:06:07Z" is no time: write it as 2026-03-04T05:06:07Z`,
	} {
		if got, err := parseTime(text); err == nil || err.Error() != complaint {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}
