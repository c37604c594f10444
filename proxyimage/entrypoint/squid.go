package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"squidfleet/proxyimage/container"
)

// squidEnvironment is the whole environment of Squid and its helpers. It holds nothing of ours, of
// ECS or of the image.
func squidEnvironment(s settings) []string {
	return []string{
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin",
		// The colon means that a file follows. Squid logs times in this zone.
		"TZ=:" + filepath.Join(s.dir, container.Localtime),
	}
}

// ownGroup keeps a terminal's Ctrl-C from Squid: this process decides what a signal does. And if
// this process is killed outside a container, the kernel ends Squid.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// checkCommand is Squid's own check of the configuration. It is stricter than a start, which only
// warns about an unknown directive.
func checkCommand(s settings) (*exec.Cmd, *bytes.Buffer) {
	output := new(bytes.Buffer)
	command := exec.Command(s.squid, "-k", "parse", "-f", container.SquidConf)
	command.Dir, command.Env, command.SysProcAttr = s.dir, squidEnvironment(s), ownGroup()
	command.Stdout, command.Stderr = output, output
	return command, output
}

// reasons are the lines of Squid's check that say what is wrong. Progress lines are left out.
func reasons(output []byte) []byte {
	var kept []byte
	for line := range bytes.Lines(output) {
		_, message, _ := strings.Cut(string(line), "| ")
		isProgress := func(prefix string) bool { return strings.HasPrefix(message, prefix) }
		if !slices.ContainsFunc([]string{"Processing", "Startup: ", "Initializing "}, isProgress) {
			kept = append(kept, line...)
		}
	}
	return kept
}

// startSquid starts Squid in the foreground (-N) with the given stdout and stderr.
func startSquid(s settings, stdout, stderr *os.File) (*os.Process, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	arguments := []string{"squid", "-n", s.name, "-N", "-f", container.SquidConf}
	files := []*os.File{null, stdout, stderr}
	process, err := os.StartProcess(s.squid, arguments,
		&os.ProcAttr{Dir: s.dir, Env: squidEnvironment(s), Files: files, Sys: ownGroup()})
	if err != nil {
		return nil, fmt.Errorf("start Squid: %w", err)
	}
	return process, nil
}
