package squid

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the expected configurations and errors into testdata")

const dashes = "---------\n"

// Each file in testdata/config holds a Config, a line of dashes, and the squid.conf or the error
// that it gives.
func TestConfigurations(t *testing.T) {
	for file, text := range cases(t) {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		t.Run(name, func(t *testing.T) {
			input, want, found := strings.Cut(text, dashes)
			if !found {
				t.Fatal("no line of dashes")
			}
			var c Config
			decoder := json.NewDecoder(strings.NewReader(input))
			decoder.DisallowUnknownFields()
			if err := decoder.Decode(&c); err != nil {
				t.Fatal(err)
			}
			got, err := c.Render()
			if err != nil {
				if got != "" {
					t.Errorf("an error and a configuration:\n%s", got)
				}
				got = "error:\n" + err.Error() + "\n"
			}
			if err == nil && AuthOf(got) != c.Auth {
				t.Errorf("reads as %s", AuthOf(got))
			}
			if strings.HasPrefix(name, "error-") != (err != nil) {
				t.Errorf("error %v in a case of this name", err)
			}
			if *update {
				if err := os.WriteFile(file, []byte(input+dashes+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("differs from the file (go test ./squid -update writes it anew); got:\n%s", got)
			}
		})
	}
}

func valid() Config {
	return Config{
		ListenPort:        35201,
		LoadBalancerCidrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/28")},
		ClientCidrs:       []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")},
		Auth:              AuthDigest, Digest: DigestSquid, Realm: "squidfleet", PasswordFile: "run/passwords",
		HTTPPorts: []int{80}, ConnectPorts: []int{443}, Memory: 512, IdleTimeout: 350 * time.Second,
	}
}

// No accepted value adds a line, a comment or a word to the configuration, whatever clients are
// asked for.
func FuzzNothingFromOutsideAddsALine(f *testing.F) {
	for _, realm := range []string{
		"squidfleet", "My Realm (1)", "a\nhttp_access allow all", "a\r", "a #b", "a\\", "\"", "a\u2028b", "a\x00",
	} {
		f.Add(realm, "run/passwords", "run/keys", 443, "10.20.30.0/24")
	}
	for _, path := range []string{"x\nacl all src all", "x y", "x#y", "-x", "x\"", "$(x)", "../x", "%ru"} {
		f.Add("r", path, "run/keys", 80, "10.0.0.0/8")
		f.Add("r", "run/passwords", path, 80, "fd00:1::/64")
	}
	fleet := valid()
	fleet.Digest, fleet.KeyFile = DigestFleet, "run/keys"
	f.Fuzz(func(t *testing.T, realm, passwords, keys string, port int, blocked string) {
		basic, both := fleet, fleet
		basic.Auth, both.Auth, both.SocketFile = AuthBasic, AuthAny, "run/digest"
		for _, usual := range []Config{valid(), fleet, basic, both} {
			c := usual
			c.Realm, c.PasswordFile, c.ConnectPorts = realm, passwords, []int{port}
			if c.Digest == DigestFleet {
				c.KeyFile = keys
			}
			if p, err := netip.ParsePrefix(blocked); err == nil {
				c.BlockedCidrs = []netip.Prefix{p}
			}
			got, err := c.Render()
			if err != nil {
				continue
			}
			want, err := usual.Render()
			if err != nil {
				t.Fatal(err)
			}
			if got, want := shape(t, got, realm), shape(t, want, usual.Realm); got != want {
				t.Fatalf("%s\ninstead of\n%s", got, want)
			}
		}
	})
}

// shape is the first word of each line and the number of its words, a realm taken for one word, but
// for the lines about forbidden destinations.
func shape(t *testing.T, conf, realm string) string {
	t.Helper()
	if strings.ContainsFunc(conf, func(r rune) bool { return r < ' ' && r != '\n' || r > '~' }) {
		t.Fatalf("something else than printable ASCII:\n%q", conf)
	}
	var lines []string
	forbidden := false
	for line := range strings.Lines(conf) {
		if strings.HasPrefix(line, "acl forbidden dst ") {
			forbidden = true
			continue
		}
		line = strings.Replace(strings.Replace(line, " "+realm+"\n", " realm\n", 1), `"`+realm+`\"`, `"realm\"`, 1)
		words := strings.Fields(line)
		lines = append(lines, fmt.Sprint(len(words), words[:min(1, len(words))]))
	}
	return fmt.Sprint(forbidden, "\n", strings.Join(lines, "\n"))
}

func TestEveryErrorPageIsOneLineThatNamesNothing(t *testing.T) {
	for name, text := range ErrorPages() {
		if strings.Count(text, "\n") != 1 || !strings.HasSuffix(text, "\n") {
			t.Errorf("%s is not one line: %q", name, text)
		}
		// A percent sign is an instruction to Squid to fill something in.
		if strings.ContainsAny(text, "%<>") || strings.Contains(strings.ToLower(text), "squid") {
			t.Errorf("%s tells too much: %q", name, text)
		}
	}
}

func TestMemoryBoundsDescriptorsAndWhatWaitsForTheHelper(t *testing.T) {
	for memory, want := range map[int]string{512: "5120", 1024: "10240", 8192: "65535"} {
		c := valid()
		c.Memory, c.Digest, c.KeyFile = memory, DigestFleet, "run/keys"
		conf, err := c.Render()
		if err != nil {
			t.Fatal(err)
		}
		// As many requests as there are descriptors can wait for the helper.
		for _, part := range []string{"max_filedescriptors " + want + "\n", " queue-size=" + want + " "} {
			if !strings.Contains(conf, part) {
				t.Errorf("with %d MiB no %q", memory, part)
			}
		}
	}
}

// Squid deletes header fields while it walks over them, and fails an assertion when an ACL looks
// up one that has just gone: no rule about headers may ask about a header of the same message.
// Rules for requests may ask req_header, because Squid deletes from a copy of what it reads there.
//
// Squid 6.13 fails another (comm.cc) when half of a client's connection is closed and
// half_closed_clients is on.
func TestNothingMakesSquidFailAnAssertion(t *testing.T) {
	rule := regexp.MustCompile(`^re(quest|ply)_header_(access|add|replace) `)
	for name, text := range cases(t) {
		_, conf, _ := strings.Cut(text, dashes)
		if strings.HasPrefix(conf, "error:") {
			continue
		}
		if strings.Contains(conf, "half_closed_clients") {
			t.Errorf("%s: half_closed_clients, whose default is off", name)
		}
		kinds, rules := map[string]string{}, 0
		for line := range strings.Lines(conf) {
			if words := strings.Fields(line); len(words) > 2 && words[0] == "acl" {
				kinds[words[1]] = words[2]
			}
		}
		for line := range strings.Lines(conf) {
			if !rule.MatchString(line) {
				continue
			}
			rules++
			for _, word := range strings.Fields(line)[2:] {
				switch kind := kinds[strings.TrimPrefix(word, "!")]; kind {
				case "rep_header", "rep_mime_type", "any-of", "all-of":
					t.Errorf("%s: %q asks an ACL of kind %s", name, strings.TrimSpace(line), kind)
				}
			}
		}
		if rules < 40 {
			t.Errorf("%s: only %d rules", name, rules)
		}
	}
}

// cases are the texts in testdata/config, by file.
func cases(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("testdata/config/*.txt")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d cases: %v", len(files), err)
	}
	texts := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts[file] = string(text)
	}
	return texts
}
