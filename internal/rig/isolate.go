// Package rig is the equipment of the tests with a real Squid and of the benchmarks: a network
// namespace with all addresses of the internet, origins and a DNS server in it, and a client that
// speaks to a task as the load balancer does.
package rig

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// FirstPort to LastPort are for listeners of the tests. No outgoing connection gets one of them.
const (
	FirstPort = 35200
	LastPort  = 35499
)

// isolated is set in the copy inside the namespaces.
const isolated = "SQUIDFLEET_RIG_ISOLATED"

// Isolate runs the calling program again in new network and mount namespaces and returns only in
// that copy. The original exits with the copy's exit code. It needs root.
//
// Inside, every IPv4 and IPv6 address belongs to the machine: a forbidden destination would answer,
// and nothing leaves the machine. DNS queries go to 127.0.0.1.
func Isolate() {
	log.SetFlags(0)
	if os.Getenv(isolated) != "" {
		if err := prepare(); err != nil {
			log.Fatalln("rig: prepare the network namespace:", err)
		}
		return
	}
	if os.Geteuid() != 0 {
		log.Fatalln("rig: these tests make network namespaces and need root: " +
			"run them with sudo, for example `sudo -E env PATH=\"$PATH\" make test`")
	}
	again := Apart(context.Background(), os.Args[1:]...)
	again.Stdin, again.Stdout, again.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := again.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		os.Exit(0)
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		os.Exit(exit.ExitCode())
	}
	log.Fatalln("rig:", err)
}

// Apart returns a command that runs the calling program again in new namespaces. Isolate returns at
// once in it.
func Apart(ctx context.Context, arguments ...string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		log.Fatalln("rig:", err)
	}
	again := exec.CommandContext(ctx, self, arguments...)
	again.Env = append(os.Environ(), isolated+"=1")
	again.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL,
	}
	return again
}

func prepare() error {
	// Mounts made here must not show outside.
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := mountResolvConf(); err != nil {
		return err
	}
	// Squid's segments there have fixed names, which other Squids on the machine may use too.
	if err := syscall.Mount("tmpfs", "/dev/shm", "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, "mode=1777"); err != nil {
		return fmt.Errorf("mount /dev/shm: %w", err)
	}
	for _, command := range []string{
		"ip link set lo up", "ip route add local 0.0.0.0/0 dev lo", "ip -6 route add local ::/0 dev lo",
	} {
		words := strings.Fields(command)
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", command, err, out)
		}
	}
	// None of the tests' thousands of connections may hold a port that a task or an origin listens on.
	// The kernel searches long for a free port when many closed connections still hold one.
	for name, value := range map[string]string{
		"ip_local_port_range":     "1024 65000",
		"ip_local_reserved_ports": fmt.Sprintf("8080,%d-%d", FirstPort, LastPort), "tcp_tw_reuse": "1",
		"tcp_max_tw_buckets": "1000",
	} {
		if err := os.WriteFile("/proc/sys/net/ipv4/"+name, []byte(value), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// mountResolvConf has names asked of this machine. What Apart runs is in a namespace like that.
func mountResolvConf() error {
	const content = "nameserver 127.0.0.1\n"
	target, err := filepath.EvalSymlinks("/etc/resolv.conf")
	if err != nil {
		return err
	}
	if text, err := os.ReadFile(target); err != nil || string(text) == content {
		return err
	}
	resolv := filepath.Join(os.TempDir(), fmt.Sprintf("squidfleet-rig-resolv.%d", os.Getpid()))
	if err := os.WriteFile(resolv, []byte(content), 0o644); err != nil {
		return err
	}
	defer os.Remove(resolv) // the mount keeps the file alive
	if err := syscall.Mount(resolv, target, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount a resolv.conf: %w", err)
	}
	return nil
}
