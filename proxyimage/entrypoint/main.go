// Entrypoint is process 1 of the proxy's container. It writes the Digest password file, checks the
// configuration, starts Squid, passes signals on, reaps Squid's orphans and ends with Squid's exit
// code.
//
// # Usage
//
//	entrypoint         run the proxy
//	entrypoint health  check the proxy that runs in the same container
//	entrypoint digest  check credentials; Squid runs it as a helper (see squidfleet/digest)
//
// # Environment
//
// A variable that begins with SQUIDFLEET_ is an error if it is not named here or has no use in the
// chosen credential mode. Other variables are ignored. All errors are reported at once, each
// beginning with the variable's name.
//
//	SQUIDFLEET_DIR              absolute path of Squid's working directory;
//	                            default /srv/squidfleet
//	SQUIDFLEET_SQUID            absolute path of Squid's program; default /usr/sbin/squid
//	SQUIDFLEET_NAME             Squid's service name, 1 to 32 ASCII letters and digits; default
//	                            squid. The names of Squid's segments in /dev/shm begin with it:
//	                            Squids that share a /dev/shm need different names
//	SQUIDFLEET_AUTH             required: what clients are asked for: digest, basic, any or none.
//	                            With none, all variables down to the passwords are refused
//	SQUIDFLEET_DIGEST           required: who checks credentials. fleet is this program, with
//	                            nonces that hold on every task with the same keys; or squid, for
//	                            digest only
//	SQUIDFLEET_DIGEST_KEYS      the keys of the nonces, as squidfleet/digest.ParseKeys reads them:
//	                            the first signs, all verify. Required with fleet unless run/keys
//	                            exists, refused with squid and with basic
//	SQUIDFLEET_CREDENTIALS      required: with secretsmanager the password file is written to
//	                            run/passwords from the variables below; with image it is part of
//	                            the image
//	SQUIDFLEET_REALM            the realm; required with secretsmanager, refused with image
//	SQUIDFLEET_USERS            user names, separated by commas; required with secretsmanager,
//	                            refused with image
//	SQUIDFLEET_PASSWORD_<USER>  each user's password as it is. <USER> is the name in upper case;
//	                            "_" replaces everything but letters and digits
//	SQUIDFLEET_EGRESS_URL       http:// URL that answers with the address of its client, or off;
//	                            default http://checkip.amazonaws.com/
//	SQUIDFLEET_DRAIN_TIMEOUT    how long SIGTERM may wait for the clients, from 0s;
//	                            default 1m50s. See "Signals"
//	SQUIDFLEET_METRICS          the fleet's name, 1 to 128 ASCII letters, digits and hyphens, for
//	                            the task's own figures in the log; default: no figures
//	SQUIDFLEET_METRICS_EVERY    how often they are written, from 100ms; default 1m
//
// The working directory holds squid.conf (its paths are relative to the directory), errors/,
// localtime (a TZif file: the log's time zone) and run/. Only run/ must be writable, and only if
// there is a password or key file to write. docs/design/image.md says what becomes of the secrets,
// what is logged, and with which exit code it ends.
//
// # Signals
//
//	SIGTERM         serve on, new connections too, until no client was connected for two
//	                seconds (with a timeout below 100 s a fiftieth of it, at least half a
//	                second) or SQUIDFLEET_DRAIN_TIMEOUT is over; then stop
//	SIGINT, SIGQUIT, a second SIGTERM
//	                stop now: a Squid without clients is killed, another one gets 3 s to
//	                log what it cuts
//	SIGHUP, SIGUSR1, SIGUSR2
//	                go to Squid
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
	// The kernel kills Squid when the thread that started it ends (see ownGroup). The main thread
	// lasts as long as the process.
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
		// Squid ends its helper itself. A signal to the whole container, or Ctrl-C in a terminal,
		// must not take the helper from a Squid that still serves.
		signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
		return digest.Command(context.Background(), arguments[1:], os.Stdin, os.Stdout, os.Stderr)
	case len(arguments) > 0:
		complain("unknown arguments %q; run it without any, or with %s", arguments, container.Health)
		return exitUsage
	}
	// First of all: a signal that process 1 does not catch is lost, or ends it without a message.
	signals := make(chan os.Signal, 16)
	signal.Notify(signals,
		syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2)
	s, problems := readSettings(os.Environ())
	for _, problem := range problems {
		complain("%s", problem)
	}
	if len(problems) > 0 {
		return exitUsage
	}
	if s.writePasswords || s.keys != "" {
		return storeSecrets(s, signals, restartWithoutSecrets)
	}
	return supervise(s, signals)
}

// storeSecrets writes the secrets and restarts this process without them. It returns only if a
// signal stops it or an error occurs.
func storeSecrets(s settings, signals chan os.Signal, restart func() error) int {
	err := writeSecrets(s)
	if err == nil {
		// The restart would forget signals that were caught. After Stop, earlier signals are in the
		// channel, and later ones end the process.
		signal.Stop(signals)
		if code := stopAsked(signals); code != 0 {
			return code
		}
		err = restart()
	}
	complain("%v", err)
	return exitFailure
}

// stopAsked returns the exit code if a signal that has arrived asks for an end, otherwise 0.
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

// health checks the proxy in this container.
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

// restartWithoutSecrets replaces this process by itself without the secrets. It returns only an
// error.
func restartWithoutSecrets() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	err = syscall.Exec(self, os.Args[:1], withoutSecrets(os.Environ()))
	return fmt.Errorf("restart without the secrets: %w", err)
}

// complainGrace is how long a message may take. A reader of stderr that stopped reading must not
// keep the program from ending.
const complainGrace = 200 * time.Millisecond

// complain writes one line to stderr, where Squid's messages go too.
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
