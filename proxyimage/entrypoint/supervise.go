package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// supervise checks the configuration, runs Squid until it ends, and returns the exit code.
func supervise(s settings, signals <-chan os.Signal) int {
	if code := check(s, signals); code != 0 {
		return code
	}
	code := exitFailure
	c, err := readConf(s.dir)
	if err == nil {
		err = checkIPv6(c)
	}
	if err == nil {
		code, err = runSquid(s, c, signals)
	}
	if err != nil {
		complain("%v", err)
	}
	return code
}

// check runs Squid's check of the configuration and returns 0 if Squid may start.
func check(s settings, signals <-chan os.Signal) int {
	command, output := checkCommand(s)
	if err := command.Start(); err != nil {
		complain("start Squid's check of the configuration: %v", err)
		return exitFailure
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	for {
		select {
		case err := <-ended:
			if err == nil {
				return 0
			}
			os.Stderr.Write(reasons(output.Bytes()))
			complain("Squid refuses its configuration: %v", err)
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				return exitCode(exit.Sys().(syscall.WaitStatus))
			}
			return exitFailure
		case received := <-signals:
			if number, stops := stopSignal(received); stops {
				command.Process.Kill()
				<-ended
				return exitSignal + number
			}
		}
	}
}

// runSquid starts Squid, obeys the signals and returns the exit code once Squid ended.
func runSquid(s settings, c conf, signals <-chan os.Signal) (int, error) {
	// Process 1 inherits every orphan; any other process has to ask.
	if err := becomeSubreaper(); err != nil {
		return exitFailure, err
	}
	// Room for one is enough, since reap looks at all children.
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)

	withoutConntrack()
	stdout, err := newLogPipe()
	if err != nil {
		return exitFailure, err
	}
	stderr, err := newLogPipe()
	if err != nil {
		return exitFailure, err
	}
	process, err := startSquid(s, stdout.write, stderr.write)
	if err != nil {
		return exitFailure, err
	}
	log := newAccessLog()
	stdout.begin("access log", func(source io.Reader) error { return copyAccessLog(os.Stdout, source, log) })
	stderr.begin("messages", func(source io.Reader) error { return copyLines(os.Stderr, source, message) })
	if s.egressURL != nil {
		go func() {
			awaitListener(c.clients)
			address, err := learnEgress(s.egressURL)
			if err != nil {
				complain("the public address stays unknown: %v", err)
				return
			}
			log.setEgress(address.String())
		}()
	}

	if s.metrics != "" {
		f := &figures{fleet: s.metrics, dir: s.dir, squid: process.Pid, clients: c.clients, cut: &log.cut}
		go f.report(os.Stdout, s.metricsEvery)
	}

	stopper := &stopper{squid: process, clients: c.clients, timeout: s.drainTimeout}
	for {
		select {
		case <-children:
			if status, ended := reap(process.Pid); ended {
				code := exitCode(status)
				if stopper.killed && status.Signaled() {
					code = 0 // we killed it, with no client left
				}
				return code, finish(stdout, stderr)
			}
		case received := <-signals:
			stopper.signal(received.(syscall.Signal))
		case now := <-stopper.poll:
			stopper.look(now)
		case <-stopper.grace:
			complain("Squid does not end; killing it")
			process.Kill()
		}
	}
}

// stopSignal returns a signal's number, and whether it asks for an end.
func stopSignal(received os.Signal) (int, bool) {
	number := received.(syscall.Signal)
	return int(number), number == syscall.SIGTERM || number == syscall.SIGINT || number == syscall.SIGQUIT
}

// exitCode is the code that a shell would report.
func exitCode(status syscall.WaitStatus) int {
	if status.Signaled() {
		return exitSignal + int(status.Signal())
	}
	return status.ExitStatus()
}
