package main

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"squidfleet/internal/must"
	"squidfleet/proxyimage/container"
)

func TestDrainEnds(t *testing.T) {
	for _, c := range []struct {
		name    string
		timeout string
		signals []syscall.Signal
	}{
		{"at its deadline", "400ms", []syscall.Signal{syscall.SIGTERM}},
		{"with a second SIGTERM", "1h", []syscall.Signal{syscall.SIGTERM, syscall.SIGTERM}},
		{"with SIGINT", "1h", []syscall.Signal{syscall.SIGTERM, syscall.SIGINT}},
		{"before it began: SIGINT", "1h", []syscall.Signal{syscall.SIGINT}},
		{"before it began: SIGQUIT", "1h", []syscall.Signal{syscall.SIGQUIT}},
		{"before it began: no time", "0s", []syscall.Signal{syscall.SIGTERM}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, serving, credentialsInImage, container.EnvDrainTimeout+"="+c.timeout)
			p := f.serving()
			f.connect()
			for i, sent := range c.signals {
				if i > 0 {
					p.waitForMessage("open now: 1\n")
				}
				p.Process.Signal(sent)
			}
			p.ends(5)
			if got := f.signals(); got != "INT" {
				t.Errorf("Squid got %q, want one SIGINT", got)
			}
			if !strings.Contains(p.stderr.String(), "connections cut: 1\n") {
				t.Errorf("stderr does not say what was cut:\n%s", &p.stderr)
			}
		})
	}
}

// No later signal begins a drain or asks Squid again.
func TestSquidThatDoesNotEndIsKilled(t *testing.T) {
	t.Parallel()
	f := newFixture(t, fake{run: "trap 'echo INT >> signals' INT" + lasts}, credentialsInImage)
	p := f.serving()
	f.connect()
	p.Process.Signal(syscall.SIGINT)
	must.Await(t, "SIGINT", func() bool { return f.signals() != "" })
	p.Process.Signal(syscall.SIGTERM)
	p.Process.Signal(syscall.SIGINT)
	p.ends(exitSignal + int(syscall.SIGKILL))
	if got := f.signals(); got != "INT" {
		t.Errorf("Squid got %q, want one SIGINT", got)
	}
	want := "entrypoint: stopping Squid; connections cut: 1\nentrypoint: Squid does not end; killing it\n"
	if got := p.stderr.String(); got != want {
		t.Errorf("stderr:\n%s\nwant:\n%s", got, want)
	}
}

func TestSquidThatEndsDuringADrainKeepsItsCode(t *testing.T) {
	f := newFixture(t, serving, credentialsInImage)
	p := f.serving()
	f.connect()
	p.Process.Signal(syscall.SIGTERM)
	p.waitForMessage("open now: 1\n")
	syscall.Kill(f.pid(ran), syscall.SIGKILL)
	p.ends(exitSignal + int(syscall.SIGKILL))
}

func TestDrainDecides(t *testing.T) {
	const timeout = 10 * time.Second
	const served, overdue = "served all connections in ", "the drain timeout of 10s is over"
	start := time.Unix(1_000_000, 0)
	quiet := drainQuiet(timeout)
	type look struct {
		after time.Duration
		open  int
		want  string // the beginning of what it says
	}
	for name, looks := range map[string][]look{
		"no client": {{0, 0, ""}, {quiet - 1, 0, ""}, {quiet, 0, served}},
		"a client between two looks begins the quiet time again": {
			{0, 0, ""}, {quiet - 1, 1, ""}, {quiet, 0, ""}, {2*quiet - 1, 0, ""}, {2 * quiet, 0, served}},
		"a client to the end": {{0, 1, ""}, {timeout - 1, 1, ""}, {timeout, 1, overdue}},
		"quiet too late":      {{0, 1, ""}, {timeout - 1, 0, ""}, {timeout, 0, overdue}},
	} {
		d := drain{begun: start, timeout: timeout}
		for _, l := range looks {
			got := d.observe(start.Add(l.after), l.open)
			if !strings.HasPrefix(got, l.want) || (got == "") != (l.want == "") {
				t.Errorf("%s: after %v with %d open: %q, want %q", name, l.after, l.open, got, l.want)
			}
		}
	}
	for timeout, want := range map[time.Duration]time.Duration{
		container.DrainTimeout: 2 * time.Second, 50 * time.Second: time.Second, time.Second: 500 * time.Millisecond,
	} {
		if got := drainQuiet(timeout); got != want {
			t.Errorf("quiet time of %v: %v, want %v", timeout, got, want)
		}
	}
}
