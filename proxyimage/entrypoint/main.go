// Entrypoint is process 1 of the proxy's container. It writes the Digest password file, checks the configuration, starts
// Squid, passes signals on, reaps what Squid leaves behind, and ends with Squid's own exit code.
//
// # Usage
//
//	entrypoint         run the proxy
//	entrypoint health  check the one that runs in the same container
//	entrypoint digest  check credentials for Squid, which runs it as a helper (see squidfleet/digest)
//
// # Environment
//
// Other variables are ignored, but one that begins with SQUIDFLEET_ and is not named here, or has no use in the chosen
// credential mode, is an error. All errors are told at once, each beginning with the variable's name.
//
//	SQUIDFLEET_DIR              absolute path of Squid's working directory; default /srv/squidfleet
//	SQUIDFLEET_SQUID            absolute path of Squid's program; default /usr/sbin/squid
//	SQUIDFLEET_NAME             Squid's service name, 1 to 32 ASCII letters and digits; default squid. It begins the names of
//	                            Squid's segments in /dev/shm, so that Squids that share one need names of their own
//	SQUIDFLEET_DIGEST           required: who checks credentials. fleet, this program, with nonces that hold on every task that has
//	                            the same keys; or squid
//	SQUIDFLEET_DIGEST_KEYS      the keys of the nonces, as squidfleet/digest.ParseKeys reads them: the first signs, all verify;
//	                            required with fleet (unless run/keys is there already), refused with squid
//	SQUIDFLEET_CREDENTIALS      required: secretsmanager, and the password file is written to run/passwords from the
//	                            variables below; or image, and it is part of the image already
//	SQUIDFLEET_REALM            the Digest realm; required with secretsmanager, refused with image
//	SQUIDFLEET_USERS            user names, separated by commas; required with secretsmanager, refused with image
//	SQUIDFLEET_PASSWORD_<USER>  one for each user: the password, whole and as it is. <USER> is the name in upper case with
//	                            "_" for whatever is neither a letter nor a digit
//	SQUIDFLEET_EGRESS_URL       http:// URL that answers with the address it was asked from, or off; default
//	                            http://checkip.amazonaws.com/. See "Log"
//	SQUIDFLEET_DRAIN_TIMEOUT    how long SIGTERM may wait for the clients, from 0s; default 1m50s. See "Signals"
//
// The working directory holds squid.conf, whose paths are relative to it, the directory errors, localtime (a TZif file: the
// time zone of the log) and the directory run, the only one that must be writable, unless it has nothing to write (image and squid).
//
// # Secrets
//
// A password lives in this process for as long as it takes to hash it: once the password file, and that of the keys, is
// written (mode 0600, at once or not at all), the process replaces itself by itself without them in its environment, so that they are
// neither in /proc/1/environ nor in its memory. Squid and its helpers get PATH and TZ and no other variable.
//
// # Log
//
// Squid's access log, one JSON object a line, goes to stdout. Each line gets a first member "egress": the address that the
// proxy's connections come from, as SQUIDFLEET_EGRESS_URL tells it, or "-" as long as it is not known. It is asked for in the
// background, a few times; Squid does not wait for it. Its member "url" loses user information, query and fragment where
// Squid has left them. Squid's messages go to stderr, each line behind "squid: " and with what is not printable ASCII escaped,
// because they may hold what clients sent; this program's own go there behind "entrypoint: ".
//
// # Signals
//
//	SIGTERM         serve on, new connections too, until there has been no client connection for two seconds (of a
//	                timeout below 100 s a fiftieth, but at least half a second) or SQUIDFLEET_DRAIN_TIMEOUT is over;
//	                then stop
//	SIGINT, SIGQUIT, a second SIGTERM
//	                stop now: a Squid without a client connection is killed, another one gets 3 s to log what it cuts
//	SIGHUP, SIGUSR1, SIGUSR2
//	                are passed on to Squid
//
// SIGTERM, SIGINT and SIGQUIT before Squid is started end the start with 128+n. Two moments are left, of a millisecond or less each: at its first and when it replaces itself, process 1
// catches nothing yet. The kernel drops a signal then, or Go's runtime ends the process with exit code 2.
//
// # Health
//
// "entrypoint health" reads SQUIDFLEET_DIR alone. It makes two requests to Squid's health port, the second one with a user's
// credentials, and expects 407 and 403 within three seconds: listener, PROXY header, access rules and Digest helper work.
// Nothing is sent to the internet, and nothing is logged.
//
// # Exit codes
//
//	0        Squid ended well, or was stopped when no client was left; healthy
//	1        Squid could not be started, or something else failed at run time; unhealthy. The reason is on stderr
//	2        a usage error: an unknown argument, or an environment that is not as described above
//	128+n    Squid, or the start, was ended by signal n
//	other    Squid's own exit code
//
// A configuration that Squid's own check refuses ends with that check's exit code, which is 1, and with its messages on
// stderr; Squid is not started then.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"squidfleet/digest"
	"squidfleet/proxyimage/container"
)

const (
	exitFailure = 1
	exitUsage   = 2
	// exitSignal is what a shell adds to the number of the signal that ended a program.
	exitSignal = 128
)

func init() {
	// Squid is killed when the thread that started it ends (see ownGroup), so that thread must be this program's last: its first.
	runtime.LockOSThread()
}

func main() { os.Exit(run(os.Args[1:])) }

func run(arguments []string) int {
	if err := renouncePrivileges(); err != nil {
		complain("%v", err)
		return exitFailure
	}
	switch {
	case len(arguments) == 1 && arguments[0] == container.Health:
		return health()
	case len(arguments) > 0 && arguments[0] == container.Digest:
		// Squid ends its helper itself. A signal to all of the container, or Ctrl-C in a terminal, must not take it from a Squid that is still serving.
		signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
		return digest.Command(context.Background(), arguments[1:], os.Stdin, os.Stdout, os.Stderr)
	case len(arguments) > 0:
		complain("unknown arguments %q; run it without any, or with %s", arguments, container.Health)
		return exitUsage
	}
	// Before anything else, because a signal that process 1 does not catch is lost, or ends it without a word.
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2)
	s, problems := readSettings(os.Environ())
	if len(problems) > 0 {
		for _, problem := range problems {
			complain("%s", problem)
		}
		return exitUsage
	}
	if s.writePasswords || s.keys != "" {
		return handOver(s, signals, forgetSecrets)
	}
	return supervise(s, signals)
}

// handOver writes the secrets and restarts this process without them; it returns only when it may not, or that fails.
func handOver(s settings, signals chan os.Signal, restart func() error) int {
	err := writeSecrets(s)
	if err == nil {
		// What was caught is forgotten in a restart. After Stop, all that has come is in the channel, and what still comes ends the process.
		signal.Stop(signals)
		if code := stopAsked(signals); code != 0 {
			return code
		}
		err = restart()
	}
	complain("%v", err)
	return exitFailure
}

// stopAsked returns the exit code if one of the signals that have arrived asks for an end, and 0 otherwise.
func stopAsked(signals <-chan os.Signal) int {
	for {
		select {
		case received := <-signals:
			if number, stops := stopSignal(received); stops {
				return exitSignal + number
			}
		default:
			return 0
		}
	}
}

// health checks the container that this process was started in.
func health() int {
	dir, set := os.LookupEnv(container.EnvDir)
	if !set {
		dir = container.Dir
	}
	if err := checkHealth(dir); err != nil {
		complain("unhealthy: %v", err)
		return exitFailure
	}
	return 0
}

// forgetSecrets replaces this process by itself without the passwords; it returns only when that fails.
func forgetSecrets() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := syscall.Exec(self, os.Args[:1], withoutSecrets(os.Environ())); err != nil {
		return fmt.Errorf("restart without the passwords: %w", err)
	}
	return nil
}

// complainGrace is how long a message may take: a reader of stderr that stopped reading must not keep the program from ending.
const complainGrace = 200 * time.Millisecond

// complain writes one line to stderr, which is where Squid's own messages go.
func complain(format string, arguments ...any) {
	written := make(chan struct{})
	go func() {
		defer close(written)
		fmt.Fprintf(os.Stderr, "entrypoint: "+format+"\n", arguments...)
	}()
	select {
	case <-written:
	case <-time.After(complainGrace):
	}
}
