package integration

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"squidfleet/internal/must"
	"squidfleet/internal/paste"
	"squidfleet/squid"
)

func curl(t *testing.T, arguments ...string) (body string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var stderr strings.Builder
	arguments = append([]string{"--silent", "--show-error", "--fail", "--noproxy", ""}, arguments...)
	command := exec.CommandContext(ctx, "curl", arguments...)
	command.Stderr = &stderr
	command.Env = []string{"PATH=" + os.Getenv("PATH")}
	out, err := command.Output()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, stderr.String())
	}
	return string(out), err
}

func digestOptions(proxy, user, password string) []string {
	return []string{"--proxy", "http://" + proxy, "--proxy-digest", "--proxy-user", user + ":" + password}
}

// The whole way of a password that means something to shells, curl and URLs, in both credential
// modes: it is configured, a command with it is pasted into a shell, and Squid's helper sees the
// same.
func TestPastedCommandsGetThrough(t *testing.T) {
	w := newWorld(t)
	w.origins.SetHandler(http.HandlerFunc(echoingOrigin))
	for _, mode := range []string{"secretsmanager", "image"} {
		o := options(map[string]any{"credentials": mode})
		o.Passwords = map[string]string{"alice": "-50%41%2541:@/\\'\"$HOME`id`!#?&;", "bob": " grüße %zz "}
		task := startTask(t, o)
		_, proxy := hop(t, insider, task)
		for user, password := range o.Passwords {
			must.OK(t, squid.CheckPassword(password))
			for _, via := range []paste.Via{
				paste.Way{}.WithPassword(proxy, user, password),
				paste.Way{}.WithVariable(proxy, user, "PASSWORD"),
			} {
				command := paste.Curl(via, "http://origin.example/", "-sS", "--noproxy", "''")
				shell := exec.CommandContext(t.Context(), "sh", "-c", command)
				shell.Env = []string{"PATH=" + os.Getenv("PATH"), "PASSWORD=" + password}
				if out, err := shell.Output(); err != nil || string(out) != "0 bytes" {
					t.Errorf("%s: %s: %q, %v", mode, via, out, err)
				}
			}
		}
		task.Kill()
	}
}
