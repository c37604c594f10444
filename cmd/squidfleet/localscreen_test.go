package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"squidfleet/internal/local"
	"squidfleet/internal/must"
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
	for room, more := range map[int]string{5: "", 3: "", 2: "and 1 more\n", 1: "and 2 more\n", -1: "and 2 more\n"} {
		text := (&streams{}).text(func(s *streams) { s.localTable(localAddresses(3), room) })
		rows := strings.Count(text, "serving")
		if rows != min(max(room, 1), 3) || !strings.Contains(text, "-\n"+more+"\n") {
			t.Errorf("room for %d:\n%s", room, text)
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
	const want = `NO  PORT   ADDRESS     ZONE  AGE  STATE     OPEN  REQUESTS  NEXT
1   35202  127.77.1.1  a     0s   draining  2     7         12s
1   35202  127.77.1.3  a     0s   serving   2     7         -
2   35203  -           -     -    stopped   -     -         -
3   35204  127.77.1.3  a     0s   serving   2     7         -

2 in service, 6 connections
`
	if got := (&streams{}).text(func(s *streams) { s.localTable(addresses, 9) }); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// readyScreen is one with the welcome written.
func readyScreen(t *testing.T, s *streams) *localScreen {
	t.Helper()
	screen := &localScreen{s: s}
	screen.size = func() (int, int) { return 80, 24 }
	must.OK(t, screen.ready(localWelcome{Addresses: []localAddress{{1, 35202}}}))
	return screen
}

// Without a terminal, with NO_COLOR and with --json no table and no code that moves a cursor is
// written.
func TestLocalTellsEventsInLinesElsewhere(t *testing.T) {
	e := local.Event{
		Time: time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC), Kind: local.Serving, Number: 3, Port: 35204,
		Task: &localAddresses(1)[0].Tasks[0], Detail: "at last",
	}
	const asJSON = `{"time":"2026-05-04T03:02:01Z","event":"serving","number":3,"port":35204,"task":{"id":"task-1"`
	for _, c := range []struct {
		colours, json bool
		want          string
	}{
		{false, false, "03:02:01 address 3, port 35204: 127.77.1.1 serving: at last\n"},
		{false, true, asJSON},
		{true, true, asJSON},
	} {
		var out bytes.Buffer
		screen := readyScreen(t, &streams{out: &out, colours: c.colours, asJSON: c.json})
		out.Reset()
		screen.event(e)
		screen.draw(shown(localAddresses(1)))
		if !strings.HasPrefix(out.String(), c.want) || strings.Contains(out.String(), "\x1b") {
			t.Errorf("%+v: %q", c, out.String())
		}
	}
}

func TestLocalTableIsDrawnInItsOwnPlace(t *testing.T) {
	var out bytes.Buffer
	screen := readyScreen(t, &streams{out: &out, colours: true})
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
	if want := fmt.Sprintf("\x1b[%dA\r", before); !strings.HasPrefix(out.String(), want) ||
		!strings.Contains(out.String(), "rotation began") ||
		!strings.HasSuffix(out.String(), prompt+`rotate 3\x1b`+"\x1b[J") {
		t.Errorf("%q does not begin with %q, or lacks the event or what is typed", out.String(), want)
	}
	// A prompt that a narrow terminal wraps would take two lines.
	screen.size = func() (int, int) { return 20, 24 }
	screen.draw(shown(localAddresses(3)))
	if !strings.HasSuffix(out.String(), "\n"+prompt[:18]+"…\x1b[J") {
		t.Errorf("%q does not end with a prompt that is cut", out.String())
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

// Typed lines come from a pipe as well as from a terminal. A fleet that cannot go on ends it.
func TestLocalDoesWhatIsTyped(t *testing.T) {
	input, typing, err := os.Pipe()
	must.OK(t, err)
	defer input.Close()
	var out, remarks lockedBuffer
	fleet := recorded{shown(localAddresses(3)), make(chan error, 1), make(chan string)}
	ended := make(chan error, 1)
	go func() {
		ended <- (&localScreen{s: &streams{out: &out, err: &remarks}}).watch(t.Context(), fleet, input)
	}()
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
	broken := errors.New("no connection is accepted any more")
	fleet.broken <- broken
	if err := <-ended; err != broken {
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

// Those are real passwords, which nobody asked for.
func TestLocalDoesNotWriteThePasswordsOfAnImage(t *testing.T) {
	passwords := []squid.Credential{{User: "alice", Password: "open sesame"}, {User: "bob", Password: "s3cret&c"}}
	t.Setenv("SQUIDFLEET_PASSWORD_BOB", "s3cret&c")
	fleet := &local.Fleet{Endpoint: netip.MustParseAddrPort("127.0.0.1:35201")}
	for _, c := range []struct {
		context map[string]any
		users   int
		relay   string // how its line begins
		curl    string // what it has
		bob     string
	}{
		{map[string]any{"auth": "none"}, 0, "squidfleet relay --proxy 'http://127.0.0.1:35201?addresses=2'",
			"--proxy http://127.0.0.1:35201 ", ""},
		{map[string]any{"users": "alice,bob"}, 2, "SQUIDFLEET_PASSWORD='open sesame' squidfleet relay --proxy ",
			"alice:open%20sesame@", "User bob has the password s3cret&c\n"},
		{map[string]any{"users": "alice,bob", "credentials": "image"}, 2,
			`SQUIDFLEET_PASSWORD="$SQUIDFLEET_PASSWORD" squidfleet relay --proxy ` +
				`'http://alice@127.0.0.1:35201?addresses=2'`,
			`"$SQUIDFLEET_PASSWORD"`, "User bob has the password in $SQUIDFLEET_PASSWORD_BOB\n"},
	} {
		p, err := params.Parse(c.context)
		must.OK(t, err)
		options := local.Options{Params: p, Addresses: 2, Passwords: passwords[:c.users]}
		w := welcome(fleet, &local.Origin{}, localPlan{options: options})
		if !strings.HasPrefix(w.Relay, c.relay) || !strings.Contains(w.Curl, c.curl) {
			t.Errorf("%v: %s\n%s", c.context, w.Relay, w.Curl)
		}
		hidden := p.Credentials == container.CredentialsImage || c.users == 0
		for _, json := range []bool{false, true} {
			var out strings.Builder
			must.OK(t, (&localScreen{s: &streams{out: &out, asJSON: json}}).ready(w))
			text := out.String()
			if strings.Contains(text, "sesame") == hidden || strings.Contains(text, "s3cret") == hidden {
				t.Errorf("%v: passwords: %s", c.context, text)
			}
			if !json && !(strings.Contains(text, "\n  "+w.Relay+"\n") && strings.Contains(text, c.bob)) {
				t.Errorf("%v: %s", c.context, text)
			}
		}
	}
}
