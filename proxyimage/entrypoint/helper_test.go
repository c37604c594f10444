package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"squidfleet/proxyimage/container"
	"squidfleet/squid"
)

// A signal to all of the container must not take the helper from a Squid that still serves.
func TestHelperGoesOnAfterASignalAndEndsWithItsInput(t *testing.T) {
	dir := t.TempDir()
	hashes, err := squid.PasswordFile(squid.DigestFleet, "squidfleet", []squid.Credential{{User: "alice", Password: "open sesame"}})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"passwords": string(hashes), "keys": "0123456789abcdef0123456789abcdef"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	helper := exec.Command(program, container.Digest, "-passwords", "passwords", "-keys", "keys")
	helper.Dir = dir
	input, err := helper.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := helper.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := helper.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(30*time.Second, func() { helper.Process.Kill() })
	defer timer.Stop()
	answers := bufio.NewReader(output)
	ask := func() {
		t.Helper()
		if _, err := input.Write([]byte("7 - 198.51.100.7 GET http://example.com/ -\n")); err != nil {
			t.Fatal(err)
		}
		if answer, err := answers.ReadString('\n'); err != nil || !strings.HasPrefix(answer, "7 ") {
			t.Fatalf("answer %q, %v", answer, err)
		}
	}
	ask()
	for _, sent := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		if err := helper.Process.Signal(sent); err != nil {
			t.Fatal(err)
		}
		ask()
	}
	input.Close()
	if err := helper.Wait(); err != nil {
		t.Error(err)
	}
}
