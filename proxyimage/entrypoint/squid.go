package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"squidfleet/proxyimage/container"
)

// squidEnvironment is everything that Squid and its helpers find in their environment: no setting of ours, nothing that
// ECS or the image put there.
func squidEnvironment(s settings) []string {
	return []string{
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin",
		// The leading colon makes it a file. Squid's log times are in this zone.
		"TZ=:" + filepath.Join(s.dir, container.Localtime),
	}
}

// ownGroup keeps a terminal's Ctrl-C from Squid, because what a signal does is decided here, and lets the kernel end Squid
// should this process be killed outside a container, where nothing else would.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// checkCommand is Squid's own check of the configuration. It refuses more than a start would: an unknown directive is a
// mere warning to a Squid that starts.
func checkCommand(s settings) (*exec.Cmd, *bytes.Buffer) {
	output := new(bytes.Buffer)
	command := exec.Command(s.squid, "-k", "parse", "-f", container.SquidConf)
	command.Dir = s.dir
	command.Env = squidEnvironment(s)
	command.Stdout = output
	command.Stderr = output
	command.SysProcAttr = ownGroup()
	return command, output
}

// reasons are the lines of Squid's check that tell what is wrong: all but its account of what it reads.
func reasons(output []byte) []byte {
	var kept []byte
	for line := range bytes.Lines(output) {
		if _, message, found := bytes.Cut(line, []byte("| ")); found {
			if bytes.HasPrefix(message, []byte("Processing")) || bytes.HasPrefix(message, []byte("Startup: ")) || bytes.HasPrefix(message, []byte("Initializing ")) {
				continue
			}
		}
		kept = append(kept, line...)
	}
	return kept
}

// startSquid starts Squid in the foreground (-N), with stdout and stderr on the given files.
func startSquid(s settings, stdout, stderr *os.File) (*os.Process, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	process, err := os.StartProcess(s.squid, []string{"squid", "-n", s.name, "-N", "-f", container.SquidConf}, &os.ProcAttr{
		Dir:   s.dir,
		Env:   squidEnvironment(s),
		Files: []*os.File{null, stdout, stderr},
		Sys:   ownGroup(),
	})
	if err != nil {
		return nil, fmt.Errorf("start Squid: %w", err)
	}
	return process, nil
}
