package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"squidfleet/internal/must"
	"squidfleet/internal/rig"
)

const squidTime = "2026-01-02T03:04:05.678+0000"

// refusalLine is a line as Squid writes it.
func refusalLine(user, auth string, status int, result string) string {
	return fmt.Sprintf(`{"time":"`+squidTime+`","client":"198.51.100.7","user":"%s","auth":"%s","method":"GET",`+
		`"url":"http://example.com/","status":%d,"result":"%s","error":"-"}`+"\n", user, auth, status, result)
}

// Of each kind of refusal so many lines a second are written, and all others are counted. Lines of
// authenticated requests are all there.
func TestRefusalsAreWrittenAtABoundedRateAndCountedAll(t *testing.T) {
	type kind struct {
		user, auth string
		status     int
		result     string
	}
	// How many of each come in the first and in the third second, and how many of all are to be
	// written.
	const flood, most = 1234, 2 * refusalsASecond
	cases := map[kind]struct{ first, third, written int }{
		{"-", "no-credentials", 407, "TCP_DENIED"}:    {flood, flood, most},
		{"-", "wrong-password", 407, "TCP_DENIED"}:    {3, 2, 5},
		{"alice", "-", 407, "TCP_DENIED"}:             {flood, 0, refusalsASecond},
		{"-", "-", 407, "TCP_DENIED"}:                 {7, 0, 7},
		{"-", "throttled", 429, "TCP_DENIED_ABORTED"}: {flood, flood, most},
		{"-", "-", 0, "TCP_DENIED"}:                   {flood, flood, most},
		{"-", "-", 400, "NONE_NONE"}:                  {flood, flood, most},
		{"alice", "accepted", 200, "TCP_MISS"}:        {flood, flood, 2 * flood},
		{"alice", "accepted", 403, "TCP_DENIED"}:      {flood, flood, 2 * flood},
		{"-", "-", 200, "TCP_TUNNEL"}:                 {flood, flood, 2 * flood}, // nobody has to log in
		{"alice", "accepted", 407, "TCP_MISS"}:        {flood, 0, flood},         // a destination's
		{"alice", "-", 400, "NONE_NONE"}:              {flood, 0, flood},
	}
	synctest.Test(t, func(t *testing.T) {
		got := new(rig.Buffer)
		read, write := io.Pipe()
		done := make(chan error)
		log := newAccessLog()
		go func() { done <- copyAccessLog(got, read, log) }()
		for _, third := range []bool{false, true} {
			for k, c := range cases {
				n := c.first
				if third {
					n = c.third
				}
				io.WriteString(write, strings.Repeat(refusalLine(k.user, k.auth, k.status, k.result), n))
			}
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if suppressed := strings.Count(got.String(), `"suppressed":`); suppressed == 0 {
				t.Error("nothing is counted when a second is over")
			}
		}
		io.WriteString(write, strings.Repeat(refusalLine("-", "-", 400, "NONE_NONE"), refusalsASecond+1))
		write.Close()
		must.OK(t, <-done)

		// Lines by what is in them. One that counts others stands for all users, and has no result.
		written := map[kind]int{}
		for line := range strings.Lines(got.String()) {
			var l struct {
				Egress, Time, User, Auth, Result string
				Status, Suppressed               int
			}
			if err := json.Unmarshal([]byte(line), &l); err != nil || l.Egress != "-" || l.Time != squidTime {
				t.Fatalf("%v: %s", err, line)
			}
			written[kind{l.User, l.Auth, l.Status, l.Result}] += max(1, l.Suppressed)
		}
		want := map[kind]int{}
		for k, c := range cases {
			want[k] = c.written
			if n := c.first + c.third - c.written; n > 0 {
				if k.user != "-" {
					k.user = anyone
				}
				want[kind{user: k.user, auth: k.auth, status: k.status}] = n
			}
		}
		// The log's end does not wait for the second's.
		want[kind{"-", "-", 400, "NONE_NONE"}] += refusalsASecond
		want[kind{user: "-", auth: "-", status: 400}]++
		if !maps.Equal(written, want) {
			t.Errorf("written: %v, want %v", written, want)
		}
		if n := log.cut.Load(); n != 2*flood {
			t.Errorf("%d connections cut, want %d", n, 2*flood)
		}
	})
}
