package rotation

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"squidfleet/internal/local"
	"squidfleet/internal/must"
)

// The usual way to run Squid in a container: nothing between ECS and Squid, Squid's own 30 s of
// shutdown_lifetime, and ECS's own 30 s of stop timeout.
const (
	usualStart       = "#!/bin/sh\nexec \"$SQUIDFLEET_SQUID\" -n \"$SQUIDFLEET_NAME\" -N -f squid.conf\n"
	usualLifetime    = 30 * time.Second
	usualStopTimeout = 30 * time.Second
)

// The same clients, rotations and judgement as where a task serves on after SIGTERM, with the
// usual way to stop. If this fleet kept the promises, that test would show nothing.
func TestTheUsualWayToStopBreaksThePromises(t *testing.T) {
	problems := rotateHastily(t, usual(t)).problems(0)
	t.Log(problems)
	// The promises of a rotation, and nothing else: this fleet, too, was in use and rotated.
	want := []string{failedNew, failedOwn, cutEarly, lagServed}
	slices.Sort(want)
	if broken := slices.Sorted(maps.Keys(problems)); !slices.Equal(broken, want) {
		t.Errorf("it fails by %q, want %q", broken, want)
	}
}

// usual makes a fleet of tasks that run Squid in the usual way.
func usual(t testing.TB) func(*local.Options) {
	t.Helper()
	program := filepath.Join(temporaryDirectory(t), "start")
	must.OK(t, os.WriteFile(program, []byte(usualStart), 0o755))
	return func(o *local.Options) {
		o.Program = program
		o.Edit = usualShutdown
		o.Timing.StopTimeout = usualStopTimeout / speed
		// Without the entrypoint only the build of the image writes the password file, and only
		// Squid checks Digest.
		o.Params = parse(map[string]any{"users": "alice", "credentials": "image", "digest": "squid"})
	}
}

// usualShutdown gives Squid its usual time, and logs that need no entrypoint to read them.
func usualShutdown(conf string) string {
	conf = strings.Replace(conf, "shutdown_lifetime 0 seconds",
		fmt.Sprintf("shutdown_lifetime %d seconds", usualLifetime/speed/time.Second), 1)
	conf = regexp.MustCompile(`(?m)^access_log .*$`).ReplaceAllString(conf, "access_log none")
	return strings.Replace(conf, "cache_log /dev/stderr", "cache_log run/cache.log", 1)
}
