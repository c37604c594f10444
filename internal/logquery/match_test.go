package logquery

import "testing"

var log = Read([]string{
	`{"user":"a","n":1,"auth":"throttled"}`, `squid: not JSON`, `{"user":"b","n":2}`, `{"user":"a","n":4}`,
	`{"auth":"x"}`,
})

// What is not known, or not documented, is an error and no answer: here it has -1 lines.
func TestConditions(t *testing.T) {
	type run = func(string, []Line) ([]Line, error)
	for _, c := range []struct {
		run       run
		condition string
		lines     int
	}{
		{Kept, `user = "a" and n > 1`, 1}, {Kept, `n in [1, 2] or n <= 4 and user = "none"`, 2},
		{Kept, `ispresent(n) and n != 2`, 2}, {Kept, `(user = "a" or user = "b") and n >= 2`, 2},
		{Kept, `auth in ["throttled", "y"]`, 1}, {Kept, `n < 2`, 1},
		{Kept, `n != 2`, -1}, {Kept, `user > 2`, -1}, {Kept, `n = 1 n`, -1}, {Kept, `(n = 1`, -1},
		{Kept, `n ~ 1`, -1}, {Kept, `n = 1 && n = 2`, -1}, {Kept, `n`, -1}, {Kept, `1`, -1},
		{Match, `{ ($.n >= 0) && ($.n != 2) || $.auth = "throttled" }`, 2}, {Match, `{ $.user = "a" }`, 2},
		{Match, `throttled`, -1}, {Match, `{ $.n != 2 }`, -1}, {Match, `{ $.n = 1 and $.n = 2 }`, -1},
		{Match, `{ n = 1 }`, -1},
	} {
		lines, err := c.run(c.condition, log)
		if got := len(lines); err == nil && got != c.lines || err != nil && c.lines != -1 {
			t.Errorf("%s: %v, %v, want %d lines", c.condition, lines, err, c.lines)
		}
	}
}
