package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
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
	const tell = `{ echo "$*"; pwd; tr '\0' '\n' < /proc/$$/environ; } >> told`
	f := newFixture(t, fake{tell, tell}, append(secrets,
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/x", "HOME=/root", "SQUIDFLEET_NAME=second")...)
	f.command().start().ends(0)
	rest := "\n" + f.directory + "\nPATH=/usr/sbin:/usr/bin:/sbin:/bin\nTZ=:" + f.path("localtime") + "\n"
	if got, want := f.read("told"), "-k parse -f squid.conf"+rest+"-n second -N -f squid.conf"+rest; got != want {
		t.Errorf("called as\n%s\nwant\n%s", got, want)
	}
}

func TestSecretsGoIntoFilesBeforeTheCheckAndLeaveTheProcess(t *testing.T) {
	passwords, err := squid.PasswordFile(squid.DigestFleet, "squidfleet", []squid.Credential{
		{User: "alice", Password: "open sesame"}, {User: "bob-2", Password: "swordfish"},
	})
	must.OK(t, err)
	const keys = nonceKey + " " + nonceKey + "-old"
	f := newFixture(t, fake{"stat -c '%A %n' run/* > seen; cat run/* >> seen", serve}, append(secrets, "KEPT=yes",
		container.EnvDigest+"="+string(squid.DigestFleet), container.EnvDigestKeys+"="+keys)...)
	// Files of an earlier start, and drafts of a killed one.
	for _, name := range []string{"passwords", "passwords.new", "keys", "keys.new"} {
		f.write(filepath.Join(container.Run, name), "mallory:squidfleet:00000000000000000000000000000000\n")
	}
	p := f.serving()
	want := "-rw------- run/keys\n-rw------- run/passwords\n" + keys + string(passwords)
	if got := f.read("seen"); got != want {
		t.Errorf("run/ holds at the check\n%s\nwant\n%s", got, want)
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
}

func TestSquidsOwnExitCode(t *testing.T) {
	for code, script := range map[int]string{0: "", 7: "exit 7", 137: "kill -KILL $$", 143: "kill $$"} {
		newFixture(t, fake{run: script}, credentialsInImage).command().start().ends(code)
	}
}

func TestWhatDoesNotStart(t *testing.T) {
	const refusal = `cat >&2 <<'end'
2026/01/02 03:04:05| Startup: Initializing ...
2026/01/02 03:04:05| Processing Configuration File: squid.conf (depth 0)
2026/01/02 03:04:05| Processing: bogus x
2026/01/02 03:04:05| squid.conf(9): unrecognized: 'bogus'
2026/01/02 03:04:05| Initializing https:// proxy context
end
exit 3`
	for _, c := range []struct {
		name        string
		check       string
		environment []string
		missing     string // a file that is removed
		arguments   []string
		code        int
		stderr      string // "DIR" is the working directory
	}{
		{"refused configuration", refusal, nil, "", nil, 3,
			"2026/01/02 03:04:05| squid.conf(9): unrecognized: 'bogus'\n" +
				"entrypoint: Squid refuses its configuration: exit status 3\n"},
		{"no Squid", "", nil, fakeName, nil, exitFailure,
			"entrypoint: start Squid's check of the configuration: fork/exec DIR/squid: no such file or directory\n"},
		{"nowhere to write", "", secrets, container.Run, nil, exitFailure,
			"entrypoint: password file: open DIR/run/passwords.new: no such file or directory; " +
				fmt.Sprintf("DIR/run must be a directory that user %d can write to\n", os.Getuid())},
		{"an unknown argument", "", nil, "", []string{"serve"}, exitUsage,
			"entrypoint: unknown arguments [\"serve\"]; run it without any, or with health\n"},
		{"wrong settings", "", append(secrets, "SQUIDFLEET_REALM=", "SQUIDFLEET_USRES=alice"), "", nil, exitUsage,
			"entrypoint: SQUIDFLEET_REALM: is missing; set it to the realm\n" +
				"entrypoint: SQUIDFLEET_USRES: " + notASetting + "\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t, fake{check: c.check}, append([]string{credentialsInImage}, c.environment...)...)
			if c.missing != "" {
				must.OK(t, os.Remove(f.path(c.missing)))
			}
			p := f.command(c.arguments...).start()
			p.ends(c.code)
			if got := strings.ReplaceAll(p.stderr.String(), f.directory, "DIR"); got != c.stderr {
				t.Errorf("stderr:\n%s\nwant:\n%s", got, c.stderr)
			}
			if files, err := os.ReadDir(f.path(container.Run)); f.pid(ran) != 0 || err == nil && len(files) != 0 {
				t.Errorf("Squid was started as %d; run/ holds %v", f.pid(ran), files)
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
		f := newFixture(t, fake{}, append(environment, container.EnvUsers+"="+strings.Join(names, ","))...)
		p := f.command().start()
		must.Await(t, "a tick of CPU time", func() bool {
			stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Process.Pid))
			_, rest, _ := strings.Cut(string(stat), ") ")
			fields := strings.Fields(rest)
			return len(fields) > 12 && fields[11]+fields[12] != "00" // user and system time
		})
		p.Process.Signal(syscall.SIGTERM)
		p.ends(143)
		if f.pid(checked) != 0 {
			t.Error("the configuration was checked")
		}
	})
	t.Run("during the check", func(t *testing.T) {
		f := newFixture(t, fake{check: "exec sleep 60"}, credentialsInImage)
		p := f.command().start()
		must.Await(t, "the check", func() bool { return f.pid(checked) != 0 })
		p.Process.Signal(syscall.SIGTERM)
		p.ends(143)
		if f.pid(ran) != 0 {
			t.Error("Squid was started")
		}
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
	f := newFixture(t, serving, credentialsInImage)
	p := f.serving()
	for sent, want := range map[syscall.Signal]string{
		syscall.SIGHUP: "HUP", syscall.SIGUSR1: "USR1", syscall.SIGUSR2: "USR2",
	} {
		p.Process.Signal(sent)
		must.Await(t, want, func() bool { return strings.HasSuffix(f.signals(), want) })
	}
}

func TestOrphans(t *testing.T) {
	const leaveOne = "(sleep 60 & echo $! > orphan)\n"
	orphanOf := func(f *fixture) int {
		pid := f.pid("orphan")
		if pid == 0 {
			t.Fatal("no orphan")
		}
		t.Cleanup(func() { syscall.Kill(pid, syscall.SIGKILL) })
		return pid
	}
	t.Run("are reaped", func(t *testing.T) {
		f := newFixture(t, fake{run: leaveOne + serve}, credentialsInImage)
		p := f.serving()
		orphan := orphanOf(f)
		children := func() []int { return slices.Sorted(slices.Values(rig.Children(p.Process.Pid, "*"))) }
		if got := children(); !slices.Equal(got, slices.Sorted(slices.Values([]int{f.pid(ran), orphan}))) {
			t.Fatalf("the entrypoint has the children %v, want Squid (%d) and its orphan (%d)", got, f.pid(ran), orphan)
		}
		syscall.Kill(orphan, syscall.SIGKILL)
		must.Await(t, "the orphan to be reaped", func() bool { return slices.Equal(children(), []int{f.pid(ran)}) })
		p.Process.Signal(syscall.SIGINT)
		p.ends(0)
	})
	t.Run("that hold the log are not waited for", func(t *testing.T) {
		f := newFixture(t, fake{run: leaveOne + "exit 4"}, credentialsInImage)
		p := f.command().start()
		p.ends(4)
		orphanOf(f)
		if p.stderr.String() != "" {
			t.Errorf("stderr: %s", &p.stderr)
		}
	})
}

func TestSquidsProcess(t *testing.T) {
	f := newFixture(t, serving, credentialsInImage)
	p := f.serving()
	pid, squidPid := p.Process.Pid, f.pid(ran)
	// Squid ends with the thread that started it.
	if started := rig.Children(pid, strconv.Itoa(pid)); !slices.Contains(started, squidPid) {
		t.Errorf("the main thread started %d, not Squid (%d)", started, squidPid)
	}
	// A terminal's Ctrl-C must not reach Squid.
	if group, err := syscall.Getpgid(squidPid); err != nil || group != squidPid {
		t.Errorf("Squid (%d) is in group %d, %v", squidPid, group, err)
	}
	// No thread can gain privileges or ask what the filter keeps from it.
	for _, pid := range []int{pid, squidPid} {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
		if err != nil || len(threads) == 0 {
			t.Fatal(threads, err)
		}
		for _, thread := range threads {
			status, err := os.ReadFile(thread)
			if err == nil && (!bytes.Contains(status, []byte("NoNewPrivs:\t1\n")) ||
				!bytes.Contains(status, []byte("Seccomp:\t2\n"))) {
				t.Errorf("%s:\n%s", thread, status)
			}
		}
	}
	p.Process.Kill()
	p.ends(-int(syscall.SIGKILL))
	must.Await(t, "the end of Squid", func() bool {
		content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", squidPid))
		return err != nil || strings.Contains(string(content), ") Z ")
	})
}

// Of the kernel's parts only netfilter is out of reach. A filter holds for good: only a copy of the
// test's process gets one.
func TestTheFilterIsForNetfilterAlone(t *testing.T) {
	if os.Getenv(confined) == "" {
		command := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$")
		command.Env = append(os.Environ(), confined+"=yes")
		if output, err := command.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, output)
		}
		return
	}
	runtime.LockOSThread()
	must.OK(t, unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) // without privileges, a filter needs it
	withoutConntrack()
	for protocol, want := range map[int]error{unix.NETLINK_NETFILTER: unix.EPROTONOSUPPORT, unix.NETLINK_ROUTE: nil} {
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW, protocol)
		unix.Close(fd)
		if err != want {
			t.Errorf("netlink %d: %v, want %v", protocol, err, want)
		}
	}
}
