package main

import (
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"squidfleet/proxyimage/container"
)

// connect opens a connection to the fake Squid that answers.
func (r *rig) connect() net.Conn {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.clients.String())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.Close() })
	r.answers(conn)
	return conn
}

func (r *rig) answers(conn net.Conn) {
	r.t.Helper()
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := conn.Write([]byte("x")); err != nil {
		r.t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		r.t.Fatal(err)
	}
}

func drainTimeout(value string) string { return container.EnvDrainTimeout + "=" + value }

func TestDrainServesUntilTheLastConnectionEnds(t *testing.T) {
	r := newRig(t, script{Exit: 9}, credentialsInImage, drainTimeout("10s"))
	p := r.start()
	p.waitReady()
	first := r.connect()
	p.command.Process.Signal(syscall.SIGTERM)
	waitFor(t, "the drain", func() bool { return strings.Contains(p.stderr.String(), "open now: 1\n") })
	second := r.connect() // The listener is still open.
	first.Close()
	// Longer than the quiet time: the second connection alone keeps Squid up.
	time.Sleep(2 * drainQuiet(10*time.Second))
	r.answers(second)
	second.Close()
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d, want 0; stderr:\n%s", code, p.stderr)
	}
	if got := r.signals(); got != "" {
		t.Errorf("Squid got %q, and nobody was left to be cut", got)
	}
}

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
			r := newRig(t, script{Exit: 5}, credentialsInImage, drainTimeout(c.timeout))
			p := r.start()
			p.waitReady()
			conn := r.connect()
			for i, sent := range c.signals {
				if i > 0 {
					waitFor(t, "the drain", func() bool { return strings.Contains(p.stderr.String(), "open now: 1\n") })
					r.answers(conn)
				}
				p.command.Process.Signal(sent)
			}
			if code := p.wait(); code != 5 {
				t.Errorf("exit code %d, want Squid's, 5; stderr:\n%s", code, p.stderr)
			}
			if got := r.signals(); got != "interrupt\n" {
				t.Errorf("Squid got %q, want one SIGINT", got)
			}
			if !strings.Contains(p.stderr.String(), "connections cut: 1\n") {
				t.Errorf("stderr does not tell what was cut:\n%s", p.stderr)
			}
		})
	}
}

func TestSquidThatDoesNotEndIsKilled(t *testing.T) {
	t.Parallel()
	r := newRig(t, script{IgnoreInt: true}, credentialsInImage)
	p := r.start()
	p.waitReady()
	r.connect()
	p.command.Process.Signal(syscall.SIGINT)
	if code := p.wait(); code != exitSignal+int(syscall.SIGKILL) {
		t.Errorf("exit code %d, want 137: the end was not a good one", code)
	}
	if !strings.Contains(p.stderr.String(), "Squid does not end; killing it") {
		t.Errorf("stderr:\n%s", p.stderr)
	}
}

func TestSignalsAfterTheLastOneChangeNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, script{IgnoreInt: true}, credentialsInImage)
	p := r.start()
	p.waitReady()
	r.connect()
	p.command.Process.Signal(syscall.SIGINT)
	waitFor(t, "SIGINT", func() bool { return r.signals() != "" })
	p.command.Process.Signal(syscall.SIGTERM)
	p.command.Process.Signal(syscall.SIGINT)
	if code := p.wait(); code != exitSignal+int(syscall.SIGKILL) {
		t.Errorf("exit code %d, want 137", code)
	}
	if got := r.signals(); got != "interrupt\n" {
		t.Errorf("Squid got %q, want one SIGINT", got)
	}
	if messages := p.stderr.String(); strings.Contains(messages, "serving on") || strings.Count(messages, "connections cut") != 1 {
		t.Errorf("stderr:\n%s", messages)
	}
}

func TestSquidThatEndsDuringADrainKeepsItsCode(t *testing.T) {
	r := newRig(t, script{}, credentialsInImage)
	p := r.start()
	p.waitReady()
	r.connect()
	p.command.Process.Signal(syscall.SIGTERM)
	waitFor(t, "the drain", func() bool { return strings.Contains(p.stderr.String(), "open now: 1\n") })
	syscall.Kill(r.called(runFile).Pid, syscall.SIGKILL)
	if code := p.wait(); code != exitSignal+int(syscall.SIGKILL) {
		t.Errorf("exit code %d, want 137", code)
	}
}

func TestDrainDecides(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	quiet := drainQuiet(10 * time.Second)
	type look struct {
		after time.Duration
		open  int
		want  verdict
	}
	for _, c := range []struct {
		name  string
		looks []look
	}{
		{"nobody", []look{{0, 0, goOn}, {quiet - 1, 0, goOn}, {quiet, 0, served}}},
		{"somebody between two looks begins it again", []look{{0, 0, goOn}, {quiet - 1, 1, goOn}, {quiet, 0, goOn}, {2*quiet - 1, 0, goOn}, {2 * quiet, 0, served}}},
		{"somebody to the end", []look{{0, 1, goOn}, {10*time.Second - 1, 1, goOn}, {10 * time.Second, 1, overdue}}},
		{"quiet too late", []look{{0, 1, goOn}, {10*time.Second - 1, 0, goOn}, {10 * time.Second, 0, overdue}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDrain(start, 10*time.Second)
			for _, l := range c.looks {
				if got := d.observe(start.Add(l.after), l.open); got != l.want {
					t.Fatalf("after %v with %d open: %d, want %d", l.after, l.open, got, l.want)
				}
			}
		})
	}
}

func TestDrainQuiet(t *testing.T) {
	for timeout, want := range map[time.Duration]time.Duration{
		container.DrainTimeout: 2 * time.Second, 24 * time.Hour: 2 * time.Second, 50 * time.Second: time.Second, time.Second: 500 * time.Millisecond,
	} {
		if got := drainQuiet(timeout); got != want {
			t.Errorf("%v: %v, want %v", timeout, got, want)
		}
	}
}
