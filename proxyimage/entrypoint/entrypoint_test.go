package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"squidfleet/internal/must"
	"squidfleet/internal/rig"
	"squidfleet/proxyimage/container"
	"squidfleet/squid"
)

func TestSquidIsCheckedThenStarted(t *testing.T) {
	f := newFixture(t, script{ExitNow: true}, append(secrets,
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/x", "HOME=/root", "SQUIDFLEET_NAME=second")...)
	f.command().start().ends(0)
	environment := []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TZ=:" + f.path("localtime")}
	for name, arguments := range map[string][]string{
		checkFile: {"-k", "parse", "-f", "squid.conf"},
		runFile:   {"-n", "second", "-N", "-f", "squid.conf"},
	} {
		got := f.called(name)
		want := call{append(got.Arguments[:1:1], arguments...), environment, f.directory, got.Pid, got.Passwords,
			got.Netlink}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}

func TestSecretsGoIntoFilesBeforeTheCheckAndLeaveTheProcess(t *testing.T) {
	passwords, err := squid.PasswordFile(squid.DigestFleet, "squidfleet", []squid.Credential{
		{User: "alice", Password: "open sesame"}, {User: "bob-2", Password: "swordfish"},
	})
	must.OK(t, err)
	const keys = nonceKey + " " + nonceKey + "-old"
	for _, umask := range []string{"0000", "0777"} {
		t.Run("umask "+umask, func(t *testing.T) {
			f := newFixture(t, script{}, append(secrets, "KEPT=yes",
				container.EnvDigest+"="+string(squid.DigestFleet), container.EnvDigestKeys+"="+keys)...)
			// Files of an earlier start, and drafts of a killed one.
			for _, name := range []string{"passwords", "passwords.new", "keys", "keys.new"} {
				f.write(filepath.Join(container.Run, name), "mallory:squidfleet:00000000000000000000000000000000\n")
			}
			p := f.command()
			shell := exec.Command("sh", "-c", `umask "$0"; exec "$1"`, umask, program)
			p.Path, p.Args = shell.Path, shell.Args
			p.start().serves()
			if got := f.called(checkFile).Passwords; got != string(passwords) {
				t.Errorf("password file at the check:\n%s\nwant:\n%s", got, passwords)
			}
			entries, err := os.ReadDir(f.path(container.Run))
			must.OK(t, err)
			var files string
			for _, file := range entries {
				info, err := file.Info()
				must.OK(t, err)
				files += fmt.Sprintln(info.Mode(), file.Name())
			}
			if want := "-rw------- keys\n-rw------- passwords\n"; files != want {
				t.Errorf("run/ holds\n%s\nwant\n%s", files, want)
			}
			if content, err := os.ReadFile(f.path(container.RunKeys)); err != nil || string(content) != keys {
				t.Errorf("the keys' file holds %q, %v", content, err)
			}
			environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.Process.Pid))
			if err != nil || !bytes.Contains(environ, []byte("KEPT=yes")) {
				t.Errorf("the environment lost a variable that is not ours: %q, %v", environ, err)
			}
			for _, secret := range []string{"open sesame", "swordfish", nonceKey} {
				if bytes.Contains(environ, []byte(secret)) {
					t.Errorf("%q is still in the environment", secret)
				}
			}
		})
	}
}

// A file that exists, or a link, is not written through.
func TestWriteNewOverwritesNothing(t *testing.T) {
	dir := t.TempDir()
	elsewhere, link := filepath.Join(dir, "elsewhere"), filepath.Join(dir, "link")
	must.OK(t, errors.Join(os.WriteFile(elsewhere, []byte("kept"), 0o600), os.Symlink(elsewhere, link)))
	for _, path := range []string{elsewhere, link} {
		if err := writeNew(path, []byte("secret")); !os.IsExist(err) {
			t.Errorf("%s: error %v", path, err)
		}
	}
	if content, err := os.ReadFile(elsewhere); err != nil || string(content) != "kept" {
		t.Errorf("%q, %v", content, err)
	}
}

func TestSquidsOwnExitCode(t *testing.T) {
	for code, todo := range map[int]script{
		0:   {ExitNow: true},
		7:   {ExitNow: true, Exit: 7},
		137: {KillItself: syscall.SIGKILL},
		143: {KillItself: syscall.SIGTERM},
	} {
		newFixture(t, todo, credentialsInImage).command().start().ends(code)
	}
}

func TestWhatDoesNotStart(t *testing.T) {
	for _, c := range []struct {
		name        string
		todo        script
		environment []string
		missing     string // a file that is removed
		arguments   []string
		code        int
		stderr      string // "DIR" is the working directory
	}{
		{"refused configuration", script{CheckExit: 3, CheckOutput: "2026/01/02 03:04:05| Startup: Initializing ...\n" +
			"2026/01/02 03:04:05| Processing Configuration File: squid.conf (depth 0)\n" +
			"2026/01/02 03:04:05| Processing: bogus x\n" +
			"2026/01/02 03:04:05| squid.conf(9): unrecognized: 'bogus'\n" +
			"2026/01/02 03:04:05| Initializing https:// proxy context\n"}, nil, "", nil, 3,
			"2026/01/02 03:04:05| squid.conf(9): unrecognized: 'bogus'\n" +
				"entrypoint: Squid refuses its configuration: exit status 3\n"},
		{"no Squid", script{}, nil, fakeName, nil, exitFailure,
			"entrypoint: start Squid's check of the configuration: fork/exec DIR/squid: no such file or directory\n"},
		{"nowhere to write", script{}, secrets, container.Run, nil, exitFailure,
			"entrypoint: password file: open DIR/run/passwords.new: no such file or directory; " +
				fmt.Sprintf("DIR/run must be a directory that user %d can write to\n", os.Getuid())},
		{"an unknown argument", script{}, nil, "", []string{"serve"}, exitUsage,
			"entrypoint: unknown arguments [\"serve\"]; run it without any, or with health\n"},
		{"wrong settings", script{}, append(secrets, "SQUIDFLEET_REALM=", "SQUIDFLEET_USRES=alice"), "", nil, exitUsage,
			"entrypoint: SQUIDFLEET_REALM: is missing; set it to the realm\n" +
				"entrypoint: SQUIDFLEET_USRES: is not a setting; leave it out\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t, c.todo, append([]string{credentialsInImage}, c.environment...)...)
			if c.missing != "" {
				must.OK(t, os.Remove(f.path(c.missing)))
			}
			p := f.command(c.arguments...).start()
			p.ends(c.code)
			if got := strings.ReplaceAll(p.stderr.String(), f.directory, "DIR"); got != c.stderr {
				t.Errorf("stderr:\n%s\nwant:\n%s", got, c.stderr)
			}
			f.neverCalled(runFile)
			if files, err := os.ReadDir(f.path(container.Run)); err == nil && len(files) != 0 {
				t.Errorf("run/ holds %v, want nothing", files)
			}
		})
	}
}

func TestSIGTERMEndsTheStart(t *testing.T) {
	t.Run("before the check", func(t *testing.T) {
		// Hashing so many passwords takes some ten milliseconds.
		environment := []string{secrets[0], secrets[1]}
		var names []string
		for i := range 15_000 {
			names = append(names, strconv.Itoa(i))
			environment = append(environment, fmt.Sprint(container.EnvPassword, i, "=open sesame"))
		}
		f := newFixture(t, script{}, append(environment, container.EnvUsers+"="+strings.Join(names, ","))...)
		p := f.command().start()
		must.Await(t, "a tick of CPU time", func() bool {
			stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Process.Pid))
			_, rest, _ := strings.Cut(string(stat), ") ")
			fields := strings.Fields(rest)
			return len(fields) > 12 && fields[11]+fields[12] != "00" // user and system time
		})
		p.Process.Signal(syscall.SIGTERM)
		p.ends(143)
		f.neverCalled(checkFile)
	})
	t.Run("during the check", func(t *testing.T) {
		f := newFixture(t, script{CheckHangs: true}, credentialsInImage)
		p := f.command().start()
		must.Await(t, "the check", func() bool { return f.exists(checkFile) })
		p.Process.Signal(syscall.SIGTERM)
		p.ends(143)
		f.neverCalled(runFile)
	})
}

func TestSignalBeforeTheRestartIsNotForgotten(t *testing.T) {
	// There is no Squid to send SIGHUP to.
	wants := map[syscall.Signal]int{syscall.SIGTERM: 143, syscall.SIGINT: 130, syscall.SIGHUP: exitFailure}
	for sent, want := range wants {
		signals := make(chan os.Signal, 16)
		signal.Notify(signals, sent)
		must.OK(t, syscall.Kill(os.Getpid(), sent))
		must.Await(t, "the signal", func() bool { return len(signals) > 0 })
		var restarted bool
		code := storeSecrets(settings{}, signals, func() error { restarted = true; return nil })
		if code != want || restarted != (sent == syscall.SIGHUP) {
			t.Errorf("%v: exit code %d, want %d; restarted %t", sent, code, want, restarted)
		}
	}
}

func TestSignalsForSquid(t *testing.T) {
	f := newFixture(t, script{}, credentialsInImage)
	p := f.serving()
	var want string
	for _, sent := range []syscall.Signal{syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2} {
		want += sent.String() + "\n"
		p.Process.Signal(sent)
		must.Await(t, sent.String(), func() bool { return f.signals() == want })
	}
}

func TestOrphanThatHoldsTheLogIsNotWaitedFor(t *testing.T) {
	f := newFixture(t, script{Orphan: true, ExitNow: true, Exit: 4}, credentialsInImage)
	p := f.serving()
	orphans := rig.Children(p.Process.Pid, "*")
	p.ends(4)
	if p.stderr.String() != "" {
		t.Errorf("stderr: %s", &p.stderr)
	}
	for _, pid := range orphans {
		syscall.Kill(pid, syscall.SIGKILL)
	}
}

func TestOrphansAreReaped(t *testing.T) {
	f := newFixture(t, script{Orphan: true}, credentialsInImage)
	p := f.serving()
	squidPid := f.called(runFile).Pid
	if got := rig.Children(p.Process.Pid, "*"); len(got) != 2 || !slices.Contains(got, squidPid) {
		t.Fatalf("the entrypoint has the children %v, want Squid (%d) and its orphan", got, squidPid)
	}
	// The fake kills the orphan then.
	p.Process.Signal(syscall.SIGUSR1)
	must.Await(t, "the orphan to be reaped", func() bool {
		return slices.Equal(rig.Children(p.Process.Pid, "*"), []int{squidPid})
	})
	p.Process.Signal(syscall.SIGINT)
	p.ends(0)
}

func TestSquidsProcess(t *testing.T) {
	f := newFixture(t, script{}, credentialsInImage)
	pid := f.serving().Process.Pid
	squidPid := f.called(runFile).Pid
	// Squid ends with the thread that started it.
	if started := rig.Children(pid, strconv.Itoa(pid)); !slices.Contains(started, squidPid) {
		t.Errorf("the main thread started %d, not Squid (%d)", started, squidPid)
	}
	// A terminal's Ctrl-C must not reach Squid.
	if group, err := syscall.Getpgid(squidPid); err != nil || group != squidPid {
		t.Errorf("Squid (%d) is in group %d, %v", squidPid, group, err)
	}
	// Of the kernel's parts only netfilter is out of reach.
	want := map[int]syscall.Errno{unix.NETLINK_NETFILTER: unix.EPROTONOSUPPORT, unix.NETLINK_ROUTE: 0}
	if got := f.called(runFile).Netlink; !maps.Equal(got, want) {
		t.Errorf("Squid opens netlink sockets with %v, want %v", got, want)
	}
	// No thread can gain privileges.
	for _, pid := range []int{pid, squidPid} {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
		if err != nil || len(threads) == 0 {
			t.Fatal(threads, err)
		}
		for _, thread := range threads {
			status, err := os.ReadFile(thread)
			if err == nil && !bytes.Contains(status, []byte("NoNewPrivs:\t1\n")) {
				t.Errorf("%s:\n%s", thread, status)
			}
		}
	}
}

func TestSquidDiesWithTheEntrypoint(t *testing.T) {
	f := newFixture(t, script{}, credentialsInImage)
	p := f.serving()
	squidPid := f.called(runFile).Pid
	p.Process.Kill()
	p.ends(-int(syscall.SIGKILL))
	must.Await(t, "the end of Squid", func() bool {
		content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", squidPid))
		return err != nil || strings.Contains(string(content), ") Z ")
	})
}
