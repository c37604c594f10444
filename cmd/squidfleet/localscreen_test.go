package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"squidfleet/internal/local"
	"squidfleet/internal/paste"
	"squidfleet/params"
	"squidfleet/proxyimage/container"
	"squidfleet/squid"
)

func localAddresses(n int) (all []local.AddressStatus) {
	for i := range n {
		all = append(all, local.AddressStatus{Number: 1 + i, Port: 35202 + i, Tasks: []local.TaskStatus{{
			ID: "task-" + string(rune('1'+i)), Address: netip.AddrFrom4([4]byte{127, 77, 1, byte(1 + i)}),
			Zone: "a", Phase: local.PhaseServing, Started: time.Now(), Open: 2, Requests: 7,
		}}})
	}
	return all
}

func TestLocalTableFitsTheTerminal(t *testing.T) {
	for room, want := range map[int]int{5: 0, 3: 0, 2: 1, 1: 2} {
		rows, hidden := localRows(localAddresses(3), room)
		if hidden != want || len(rows) != 1+3-want {
			t.Errorf("room for %d: %d rows, %d hidden", room, len(rows), hidden)
		}
	}
	for text, want := range map[string]string{
		"12345": "12345", "123456": "1234…", "äöüßéè": "äöüß…", "": "",
		"\x1b[32m12345\x1b[0m": "\x1b[32m12345\x1b[0m", "1\x1b[32m23456\x1b[0m7": "1\x1b[32m234…\x1b[0m",
	} {
		if got := cut(text, 5); got != want {
			t.Errorf("%q cut is %q, want %q", text, got, want)
		}
	}
}

// An address has a row for each of its tasks, or one without a task. The first has the next
// rotation.
func TestLocalTableShowsAddresses(t *testing.T) {
	addresses := localAddresses(3)
	next := time.Now().Add(12*time.Second + 400*time.Millisecond)
	addresses[0].Next, addresses[1].Next = next, next
	addresses[0].Tasks[0].Phase = local.PhaseDraining
	addresses[0].Tasks = append(addresses[0].Tasks, addresses[2].Tasks...)
	addresses[1].Stopped, addresses[1].Tasks = true, nil
	var out bytes.Buffer
	rows, _ := localRows(addresses, 9)
	(&streams{out: &out}).table(rows)
	const want = `NO  PORT   ADDRESS     ZONE  AGE  STATE     OPEN  REQUESTS  NEXT
1   35202  127.77.1.1  a     0s   draining  2     7         12s
1   35202  127.77.1.3  a     0s   serving   2     7         -
2   35203  -           -     -    stopped   -     -         -
3   35204  127.77.1.3  a     0s   serving   2     7         -
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", &out, want)
	}
	if got := localSummary(addresses); got != "2 in service, 6 connections" {
		t.Error(got)
	}
}

// Without a terminal, with NO_COLOR and with --json no table and no code that moves a cursor is
// written.
func TestLocalTellsEventsInLinesElsewhere(t *testing.T) {
	e := local.Event{
		Time: time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC), Kind: local.Serving, Number: 3, Port: 35204,
		Task: &localAddresses(1)[0].Tasks[0],
	}
	const asJSON = `{"time":"2026-05-04T03:02:01Z","event":"serving","number":3,"port":35204,"task":{"id":"task-1"`
	for name, c := range map[string]struct {
		colours, json bool
		want          string
	}{
		"plain":    {false, false, "03:02:01 address 3, port 35204: 127.77.1.1 serving\n"},
		"json":     {false, true, asJSON},
		"json tty": {true, true, asJSON},
	} {
		var out bytes.Buffer
		screen := newLocalScreen(&streams{out: &out, err: &out, colours: c.colours}, c.json)
		screen.begun = true
		screen.event(e)
		if !strings.HasPrefix(out.String(), c.want) || strings.Contains(out.String(), "\x1b") {
			t.Errorf("%s: %q, want %q", name, out.String(), c.want)
		}
	}
}

func TestLocalTableIsDrawnInItsOwnPlace(t *testing.T) {
	var out bytes.Buffer
	screen := newLocalScreen(&streams{out: &out, err: &out, colours: true}, false)
	screen.size = func() (int, int) { return 80, 24 }
	if err := screen.ready(localWelcome{
		Addresses: []localAddress{{1, 35202}},
	}); err != nil {
		t.Fatal(err)
	}
	out.Reset()
	screen.draw(shown(localAddresses(2)))
	if lines := strings.Count(out.String(), "\n"); lines != screen.drawn || strings.Contains(out.String(), "A\r") {
		t.Errorf("%d lines, %d noted: %q", lines, screen.drawn, out.String())
	}
	out.Reset()
	before := screen.drawn
	screen.event(local.Event{Kind: local.RotationBegan})
	if out.Len() > 0 {
		t.Errorf("an event in the middle of the table: %q", out.String())
	}
	screen.typed = "rotate 3\x1b"
	screen.draw(shown(localAddresses(3)))
	if want := "\x1b[" + string(rune('0'+before)) + "A\r"; !strings.HasPrefix(out.String(), want) ||
		!strings.Contains(out.String(), "rotation began") ||
		!strings.HasSuffix(out.String(), prompt+`rotate 3\x1b`+"\x1b[J") {
		t.Errorf("%q does not begin with %q, or lacks the event or what is typed", out.String(), want)
	}
	// A line that a narrow terminal wraps would take two.
	screen.size = func() (int, int) { return 20, 24 }
	out.Reset()
	screen.draw(shown(localAddresses(3)))
	_, table, _ := strings.Cut(out.String(), "\r")
	for line := range strings.Lines(table) {
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\x1b[K\n"), "\x1b[J")
		if visible(line) > 20 {
			t.Errorf("%q is longer than the terminal is wide", line)
		}
	}
	out.Reset()
	screen.end()
	screen.draw(shown(localAddresses(3)))
	screen.event(local.Event{Kind: local.RotationEnded})
	if got := out.String(); !strings.HasPrefix(got, "\r\x1b[K") || !strings.HasSuffix(got, " rotation ended\n") ||
		strings.Count(got, "\x1b") != 1 {
		t.Errorf("after the end: %q", got)
	}
}

// shown is a fleet that has just these addresses.
type shown []local.AddressStatus

func (s shown) Addresses() []local.AddressStatus { return s }

// recorded is a fleet that notes what is asked of it.
type recorded struct {
	shown
	broken chan error
	asked  chan string
}

func (f recorded) Broken() <-chan error { return f.broken }
func (f recorded) Rotate(_ context.Context, numbers ...int) ([]local.Rotation, error) {
	f.asked <- fmt.Sprint("rotate ", numbers)
	return nil, nil
}
func (f recorded) Stop(number int) error {
	f.asked <- fmt.Sprint("stop ", number)
	return errors.New("it is stopped already")
}
func (f recorded) Start(_ context.Context, number int) error {
	f.asked <- fmt.Sprint("start ", number)
	return nil
}
func (f recorded) Close() error { return nil }

func newRecorded(addresses int) recorded {
	return recorded{shown(localAddresses(addresses)), make(chan error, 1), make(chan string)}
}

// Typed lines come from a pipe as well as from a terminal.
func TestLocalDoesWhatIsTyped(t *testing.T) {
	input, typing, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer input.Close()
	var out, remarks lockedBuffer
	fleet := newRecorded(3)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- newLocalScreen(&streams{out: &out, err: &remarks}, true).watch(ctx, fleet, input) }()
	for _, c := range []struct{ typed, want string }{
		{"rotate 3\n", "rotate [3]"}, {" rotate  3 1\r", "rotate [3 1]"}, {"rotate\n", "rotate [1 2 3]"},
		{"rotate all\n", "rotate [1 2 3]"}, {"start 2\n", "start 2"},
		{"\nstop 3\x7f1\n", "stop 1"},           // nothing, then a key taken back
		{"rotate 2\x15start 3\n", "start 3"},    // the whole line taken back
		{"\x1b[Asta\x1b[1;5Drt 3\n", "start 3"}, // arrows
	} {
		io.WriteString(typing, c.typed)
		if got := <-fleet.asked; got != c.want {
			t.Errorf("%q: %s, want %s", c.typed, got, c.want)
		}
	}
	for typed, want := range map[string]string{
		"rotat 3":     `"rotat" is no command: type rotate, stop or start, and numbers of addresses`,
		"stop":        "stop needs numbers of addresses, or all",
		"rotate 4":    "rotate 4: the addresses have the numbers 1 to 3",
		"rotate 0":    "rotate 0: the addresses have the numbers 1 to 3",
		"rotate 1 x":  "rotate x: the addresses have the numbers 1 to 3",
		"start all 2": "start all: the addresses have the numbers 1 to 3",
	} {
		if _, _, err := parseCommand(typed, 3); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", typed, err, want)
		}
	}
	typing.Close()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if got := remarks.String(); got != "it is stopped already\n" || out.String() != "" {
		t.Errorf("remarks %q, output %q", got, out.String())
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func TestLocalEndsWhenTheFleetCannotGoOn(t *testing.T) {
	var out strings.Builder
	input, typing, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer input.Close()
	defer typing.Close()
	fleet := newRecorded(1)
	fleet.broken <- errors.New("no connection is accepted any more")
	if err := newLocalScreen(&streams{out: &out, err: &out}, false).watch(t.Context(), fleet, input); err == nil ||
		err.Error() != "no connection is accepted any more" {
		t.Error(err)
	}
}

// Those are real passwords, which nobody asked for.
func TestLocalDoesNotWriteThePasswordsOfAnImage(t *testing.T) {
	const endpoint = "127.0.0.1:35201"
	passwords := []squid.Credential{{User: "alice", Password: "open sesame"}, {User: "bob", Password: "s3cret&c"}}
	only := func(names ...string) func(string) (string, bool) {
		return func(name string) (string, bool) { return "", slices.Contains(names, name) }
	}
	inImage := func(users string) map[string]any { return map[string]any{"users": users, "credentials": "image"} }
	for _, c := range []struct {
		context map[string]any
		lookup  func(string) (string, bool)
		want    []paste.Via
		relay   string
	}{
		{inImage("alice"), only("SQUIDFLEET_PASSWORD"),
			[]paste.Via{paste.Way{}.WithVariable(endpoint, "alice", "SQUIDFLEET_PASSWORD")},
			`SQUIDFLEET_PASSWORD="$SQUIDFLEET_PASSWORD" ` +
				`squidfleet relay --proxy 'http://alice@127.0.0.1:35201?addresses=2'`},
		{inImage("alice"), only("SQUIDFLEET_PASSWORD_ALICE"),
			[]paste.Via{paste.Way{}.WithVariable(endpoint, "alice", "SQUIDFLEET_PASSWORD_ALICE")},
			`SQUIDFLEET_PASSWORD="$SQUIDFLEET_PASSWORD_ALICE" squidfleet relay `},
		{
			inImage("alice,bob"), only("SQUIDFLEET_PASSWORD_ALICE", "SQUIDFLEET_PASSWORD_BOB"),
			[]paste.Via{
				paste.Way{}.WithVariable(endpoint, "alice", "SQUIDFLEET_PASSWORD_ALICE"),
				paste.Way{}.WithVariable(endpoint, "bob", "SQUIDFLEET_PASSWORD_BOB"),
			},
			"",
		},
		{map[string]any{"users": "alice,bob"}, only(), []paste.Via{
			paste.Way{}.WithPassword(endpoint, "alice", "open sesame"),
			paste.Way{}.WithPassword(endpoint, "bob", "s3cret&c"),
		}, "SQUIDFLEET_PASSWORD='open sesame' squidfleet relay "},
		{map[string]any{"auth": "none"}, only(), nil, "squidfleet relay --proxy 'http://127.0.0.1:35201?addresses=2'"},
	} {
		p, err := params.Parse(c.context)
		if err != nil {
			t.Fatal(err)
		}
		plan := localPlan{
			options: local.Options{Addresses: 2}, users: localUsers(p, passwords[:len(c.want)], c.lookup),
		}
		w := welcome(&local.Fleet{Endpoint: netip.MustParseAddrPort(endpoint)}, &local.Origin{}, plan)
		var got []paste.Via
		for _, u := range w.users {
			got = append(got, u.via(paste.Way{}, endpoint))
		}
		first := append(slices.Clone(c.want), paste.Way{}.Open(endpoint))[0]
		if !slices.Equal(got, c.want) || !strings.Contains(w.Curl, string(first)) {
			t.Errorf("%v: %q in %s, want %q", c.context, got, w.Curl, c.want)
		}
		if !strings.HasPrefix(w.Relay, c.relay) {
			t.Errorf("%v: %s, want %s", c.context, w.Relay, c.relay)
		}
		for _, json := range []bool{false, true} {
			var out strings.Builder
			if err := newLocalScreen(&streams{out: &out, err: &out}, json).ready(w); err != nil {
				t.Error(err)
			}
			shown := strings.Contains(out.String(), "sesame")
			if shown != (len(c.want) > 0 && p.Credentials != container.CredentialsImage) {
				t.Errorf("%v: %s", c.context, out.String())
			}
			if !json && !strings.Contains(out.String(), "\n  "+w.Relay+"\n") {
				t.Errorf("%s lacks %s", out.String(), w.Relay)
			}
		}
	}
}
