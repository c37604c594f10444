package image

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"squidfleet/internal/must"
	"squidfleet/internal/rig"
	"squidfleet/proxyimage/container"
)

// spellings are the forms in which a password could appear: as it is, and in JSON.
func spellings(password string) [][]byte {
	return [][]byte{[]byte(password), bytes.ReplaceAll([]byte(password), []byte(`\`), []byte(`\\`))}
}

func TestPasswordIsNowhereInTheImage(t *testing.T) {
	for _, mode := range []string{inSecrets, inImage} {
		image := save(t, mode)
		config, err := image.RawConfigFile()
		must.OK(t, err)
		history, err := containers.Run(t.Context(), "history", "--no-trunc", "--format={{json .}}", tag(mode))
		must.OK(t, err)
		inspected, err := containers.Run(t.Context(), "image", "inspect", tag(mode))
		must.OK(t, err)
		for what, content := range map[string][]byte{
			"layers": bytes.Join(layers(t, image), nil), "configuration": config,
			"history": []byte(history), "inspect": []byte(inspected),
		} {
			if len(content) == 0 {
				t.Errorf("%s: %s is empty", mode, what)
			}
			for user, password := range passwords {
				for _, spelling := range spellings(password) {
					if bytes.Contains(content, spelling) {
						t.Errorf("%s: %s holds %s's password", mode, what, user)
					}
				}
			}
		}
	}
}

// Secrets are in no process, no line of the log and no message, whatever clients send, and nothing
// passes for a line of the log. Only their files are written. An idle container ends when told to.
func TestSecretsAreInNoProcessAndNoLog(t *testing.T) {
	rig.StartOrigins(t, []int{80, 443}, nil)
	secrets := map[string]string{"the key of the nonces": rig.DigestKey, "what clients send": rig.HostileSecret}
	for user, password := range passwords {
		secrets[user+"'s password"] = password
	}
	for mode, written := range map[string][]string{inSecrets: {"keys", "passwords"}, inImage: nil} {
		t.Run(mode, func(t *testing.T) {
			p := start(t, mode)
			must.OK(t, p.client().SendHostile())
			p.get("http://151.101.1.69/")
			p.tunnel("151.101.1.69:443").Close()
			p.awaitLog(`"method":"CONNECT"`, `"status":200`)
			for _, file := range []string{"environ", "cmdline"} {
				for where, content := range p.read(file) {
					for what, secret := range secrets {
						if strings.Contains(content, secret) {
							t.Errorf("%s holds %s", where, what)
						}
					}
				}
			}
			files, err := os.ReadDir(fmt.Sprintf("/proc/%d/root%s", p.mainPid(), container.RunDir))
			must.OK(t, err)
			var names []string
			for _, file := range files {
				names = append(names, file.Name())
			}
			if !slices.Equal(names, written) {
				t.Errorf("%s holds %q, want %q", container.RunDir, names, written)
			}
			p.signal("TERM")
			if code := p.wait(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			stdout, stderr := p.logs()
			if n := strings.Count(stdout, "\n"); n < len(rig.Hostile) ||
				!strings.Contains(stderr, "served all connections") {
				t.Errorf("only %d lines for %d requests, or not all were served:\n%s", n, len(rig.Hostile), stderr)
			}
			for what, secret := range secrets {
				if strings.Contains(stdout+stderr, secret) {
					t.Errorf("the log holds %s", what)
				}
			}
			for line := range strings.Lines(stdout) {
				if !strings.HasPrefix(line, `{"egress":"`) || !json.Valid([]byte(line)) {
					t.Errorf("in the log: %s", line)
				}
			}
			for line := range strings.Lines(stderr) {
				if !strings.HasPrefix(line, "squid: ") && !strings.HasPrefix(line, "entrypoint: ") {
					t.Errorf("a message without a prefix: %s", line)
				}
			}
		})
	}
}
