package main

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// noise is more than the pipe from Squid and the copier's buffer hold.
var noise = strings.Repeat(`{"a":"line of the log"}`+"\n", 20_000)

// A log that is refused must not stop Squid, which waits for whoever reads its pipe.
func TestALogThatCannotBeWrittenDoesNotStopSquid(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	r := newRig(t, script{ExitNow: true, Exit: 5, Stdout: noise}, credentialsInImage)
	messages := new(collected)
	command := exec.Command(program)
	command.Env = append([]string{"PATH=" + os.Getenv("PATH")}, r.environment...)
	command.Stdout, command.Stderr = full, messages
	if code := endsWithin(t, command, 20*time.Second); code != 5 {
		t.Errorf("exit code %d, want Squid's, 5", code)
	}
	if got := messages.String(); !strings.Contains(got, "entrypoint: the access log is lost from here on: write /dev/stdout: no space left on device\n") {
		t.Errorf("stderr:\n%s", got)
	}
}

// Nobody reads any more: Squid's end is the task's all the same.
func TestAReaderThatStoppedReadingIsNotWaitedFor(t *testing.T) {
	for _, blocked := range []string{"stdout", "stderr"} {
		t.Run(blocked, func(t *testing.T) {
			read, stuck, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer read.Close()
			defer stuck.Close()
			// It is full already.
			stuck.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
			for err == nil {
				_, err = stuck.Write(make([]byte, 4096))
			}
			r := newRig(t, script{ExitNow: true, Exit: 5, Stdout: `{"a":1}` + "\n", Stderr: "a message\n"}, credentialsInImage)
			command := exec.Command(program)
			command.Env = append([]string{"PATH=" + os.Getenv("PATH")}, r.environment...)
			if blocked == "stdout" {
				command.Stdout = stuck
			} else {
				command.Stderr = stuck
			}
			if code := endsWithin(t, command, 20*time.Second); code != 5 {
				t.Errorf("exit code %d, want Squid's, 5", code)
			}
		})
	}
}

// endsWithin runs a command and returns its exit code, or -1 if it had to be killed.
func endsWithin(t *testing.T, command *exec.Cmd, limit time.Duration) int {
	t.Helper()
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(limit, func() { command.Process.Kill() })
	defer timer.Stop()
	err := command.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return command.ProcessState.ExitCode()
}
