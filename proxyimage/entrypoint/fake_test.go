package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The tests run the built program with a fake Squid: this test binary under another name. The fake
// obeys the file "script" in its working directory and records its calls.

// script says what the fake does. The zero value accepts the configuration and serves until a
// signal.
type script struct {
	CheckExit   int    // exit code of the configuration check
	CheckOutput string // what the check writes to stderr
	CheckHangs  bool   // the check never ends
	Exit        int    // exit code after a stop signal, or at once with ExitNow
	ExitNow     bool
	KillItself  syscall.Signal // ends at once by this signal
	Stdout      string         // written before "ready"
	Stderr      string
	Deaf        bool // does not listen
	IgnoreInt   bool // goes on after SIGINT
	Orphan      bool // leaves a grandchild that holds stdout and ends at the next signal
}

type call struct {
	Arguments   []string
	Environment []string
	Directory   string
	Pid         int
	Passwords   string                // content of run/passwords
	Netlink     map[int]syscall.Errno // by protocol, why a socket does not open
}

const (
	fakeName    = "squid"
	scriptFile  = "script"
	checkFile   = "called-check"
	runFile     = "called-run"
	signalsFile = "signals"
	readyLine   = "fake squid is ready\n"
)

func fakeSquid(arguments []string) int {
	syscall.Umask(0)
	var todo script
	content, err := os.ReadFile(scriptFile)
	orPanic(err)
	orPanic(json.Unmarshal(content, &todo))

	if arguments[0] == "-k" {
		record(checkFile)
		fmt.Fprint(os.Stderr, todo.CheckOutput)
		for todo.CheckHangs {
			time.Sleep(time.Hour)
		}
		return todo.CheckExit
	}

	signals := make(chan os.Signal, 16)
	signal.Notify(signals,
		syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2)
	var orphan int
	if todo.Orphan {
		parent := exec.Command("sh", "-c", "sleep 20 >&3 2>&3 3>&- & echo $!")
		parent.ExtraFiles = []*os.File{os.Stdout}
		output, err := parent.Output()
		orPanic(err)
		orphan, err = strconv.Atoi(strings.TrimSpace(string(output)))
		orPanic(err)
	}
	if !todo.ExitNow && !todo.Deaf {
		serve()
	}
	record(runFile)
	fmt.Fprint(os.Stderr, todo.Stderr)
	fmt.Fprint(os.Stdout, todo.Stdout)
	fmt.Fprint(os.Stdout, readyLine)
	if todo.KillItself != 0 {
		signal.Reset()
		syscall.Kill(os.Getpid(), todo.KillItself)
		time.Sleep(time.Minute)
	}
	if todo.ExitNow {
		return todo.Exit
	}
	for received := range signals {
		if orphan != 0 {
			syscall.Kill(orphan, syscall.SIGKILL)
			orphan = 0
		}
		file, err := os.OpenFile(signalsFile, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		orPanic(err)
		fmt.Fprintln(file, received)
		file.Close()
		if _, stops := stopSignal(received); stops && !(todo.IgnoreInt && received == syscall.SIGINT) {
			return todo.Exit
		}
	}
	return 0
}

// logLine makes the fake write the rest of its input to its log.
const logLine = "log:"

// serve listens where the configuration says so and echoes its input.
func serve() {
	ports, err := readListeners(".")
	orPanic(err)
	listener, err := net.Listen("tcp", ports.clients.String())
	orPanic(err)
	go func() {
		for {
			conn, err := listener.Accept()
			orPanic(err)
			go func() {
				defer conn.Close()
				buffer := make([]byte, 4096)
				for {
					n, err := conn.Read(buffer)
					if err != nil {
						return
					}
					if line, ok := bytes.CutPrefix(buffer[:n], []byte(logLine)); ok {
						os.Stdout.Write(line)
					} else {
						conn.Write(buffer[:n])
					}
				}
			}()
		}
	}()
}

// record writes the call to a file, atomically.
func record(name string) {
	directory, err := os.Getwd()
	orPanic(err)
	passwords, err := os.ReadFile(filepath.Join("run", "passwords"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		panic(err)
	}
	netlink := map[int]syscall.Errno{}
	for _, protocol := range []int{unix.NETLINK_NETFILTER, unix.NETLINK_ROUTE} {
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW, protocol)
		unix.Close(fd)
		netlink[protocol], _ = err.(syscall.Errno)
	}
	content, err := json.Marshal(call{os.Args, os.Environ(), directory, os.Getpid(), string(passwords), netlink})
	orPanic(err)
	orPanic(os.WriteFile(name+".new", content, 0o600))
	orPanic(os.Rename(name+".new", name))
}

func orPanic(err error) {
	if err != nil {
		panic(err)
	}
}
