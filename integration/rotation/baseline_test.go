package rotation

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"squidfleet/internal/local"
	"squidfleet/params"
)

// The usual way to run Squid in a container: nothing between ECS and Squid, Squid's own 30 s of shutdown_lifetime, and ECS's own 30 s of stop timeout.
const (
	usualStart       = "#!/bin/sh\nexec \"$SQUIDFLEET_SQUID\" -n \"$SQUIDFLEET_NAME\" -N -f squid.conf\n"
	usualLifetime    = 30 * time.Second
	usualStopTimeout = 30 * time.Second
)

// The same clients, the same scenario and the same promises, with the usual way to stop: if this fleet kept them, the test above would show nothing.
func TestTheUsualWayToStopBreaksThePromises(t *testing.T) {
	dir, err := os.MkdirTemp("", "squidfleet-usual-") // not t.TempDir, which the tasks' user may not enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "start")
	if err := os.WriteFile(program, []byte(usualStart), 0o755); err != nil {
		t.Fatal(err)
	}
	f, l, newClient := fleet(t, func(o *local.Options) {
		o.Program = program
		o.Edit = usualShutdown
		o.Timing.StopTimeout = usualStopTimeout / speed
		// Without the entrypoint nobody writes the password file but the build of the image, and nobody checks Digest but Squid.
		o.Params = must(params.Parse(map[string]any{"users": "alice", "credentials": "image", "digest": "squid"}))
	})
	stop := load(newClient)
	done := scenario(t, f, l, timing, 2)
	stop()
	v := l.judge()
	t.Log("\n" + summary(l, v, done))
	if len(v.failedNew) == 0 {
		t.Error("no new connection failed")
	}
	if len(v.cutEarly) == 0 {
		t.Error("no connection was cut before the drain time was over")
	}
	if len(v.unseen) > 0 {
		t.Errorf("addresses that served nobody: %v: this fleet did not work at all", v.unseen)
	}
}

// usualShutdown gives Squid its usual time, and logs that need no entrypoint to read them.
func usualShutdown(conf string) string {
	conf = strings.Replace(conf, "shutdown_lifetime 0 seconds", fmt.Sprintf("shutdown_lifetime %d seconds", usualLifetime/speed/time.Second), 1)
	conf = regexp.MustCompile(`(?m)^access_log .*$`).ReplaceAllString(conf, "access_log none")
	return strings.Replace(conf, "cache_log /dev/stderr", "cache_log run/cache.log", 1)
}
