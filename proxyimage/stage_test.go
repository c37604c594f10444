package proxyimage

import (
	"context"
	"crypto/sha256"
	"debug/elf"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"squidfleet/internal/must"
	"squidfleet/params"
	"squidfleet/squid"
)

func parse(t *testing.T, values map[string]any) *params.Params {
	t.Helper()
	p, err := params.Parse(values)
	must.OK(t, err)
	return p
}

var network = Network{
	LoadBalancerCidrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24"), netip.MustParsePrefix("10.0.1.0/24")},
	VpcCidrs:          []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")},
}

var (
	inSecrets = map[string]any{"clientCidrs": "198.51.100.7/32", "users": "alice,bob"}
	inImage   = map[string]any{"clientCidrs": "198.51.100.7/32", "users": "alice,bob", "credentials": "image",
		"timezone": "Asia/Tokyo", "architecture": "arm64"}
	twoPasswords = []squid.Credential{{User: "alice", Password: "open sesame"}, {User: "bob", Password: "swordfish"}}
)

// snapshot maps the path of each file below a directory to a hash of its content.
func snapshot(t *testing.T, directory string) map[string]string {
	t.Helper()
	found := map[string]string{}
	must.OK(t, fs.WalkDir(os.DirFS(directory), ".", func(name string, entry fs.DirEntry, err error) error {
		if !entry.IsDir() {
			found[name] = fmt.Sprintf("%x", sha256.Sum256([]byte(read(t, directory, name))))
		}
		return err
	}))
	return found
}

func stage(t *testing.T, p *params.Params, passwords []squid.Credential) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "context")
	must.OK(t, Stage(t.Context(), dir, p, network, passwords))
	return dir
}

// Without them squidfleet status cannot say whether there is a newer base.
func TestTheBaseHasItsRegistryAndADateOrDigest(t *testing.T) {
	if base := Base(); !regexp.MustCompile(`^docker\.io/\S+:\S*(-\d{8}\b|@sha256:)`).MatchString(base) {
		t.Error(base)
	}
}

// The entrypoint is static, for the tasks' architecture. The password file is nobody else's.
func TestStagedFiles(t *testing.T) {
	for machine, c := range map[elf.Machine]struct {
		values    map[string]any
		passwords []squid.Credential
		more      []string
	}{
		elf.EM_X86_64:  {inSecrets, nil, nil},
		elf.EM_AARCH64: {inImage, twoPasswords, []string{"passwords"}},
	} {
		p := parse(t, c.values)
		dir := stage(t, p, c.passwords)
		want := append(c.more, "Dockerfile", "collect.sh", "entrypoint", "localtime", "squid.conf")
		for page := range squid.ErrorPages() {
			want = append(want, "errors/"+page)
		}
		slices.Sort(want)
		if got := slices.Sorted(maps.Keys(snapshot(t, dir))); !slices.Equal(got, want) {
			t.Errorf("staged %v\nwant %v", got, want)
		}
		if c.passwords != nil {
			hashes, err := squid.PasswordFile(p.Digest, p.Realm, c.passwords)
			must.OK(t, err)
			info, err := os.Stat(filepath.Join(dir, "passwords"))
			must.OK(t, err)
			if got := read(t, dir, "passwords"); got != string(hashes) || info.Mode() != 0o600 {
				t.Errorf("passwords, %v:\n%s\nwant:\n%s", info.Mode(), got, hashes)
			}
		}
		if rendered, err := Config(p, network).Render(); err != nil || read(t, dir, "squid.conf") != rendered {
			t.Errorf("squid.conf is not the rendered configuration (%v)", err)
		}
		program, err := elf.Open(filepath.Join(dir, "entrypoint"))
		must.OK(t, err)
		defer program.Close()
		if program.Machine != machine {
			t.Errorf("made for %v, want %v", program.Machine, machine)
		}
		for _, part := range program.Progs {
			if part.Type == elf.PT_INTERP {
				t.Error("needs a loader, which is not in the image for it")
			}
		}
	}
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, name))
	must.OK(t, err)
	return string(content)
}

// The same parameters and sources give the same bytes in another directory, from sources that lie
// elsewhere, and in an environment that would change the program.
func TestSameParametersSameBytesAnywhere(t *testing.T) {
	values := maps.Clone(inImage)
	values["architecture"] = "x86_64"
	p := parse(t, values)
	want := snapshot(t, stage(t, p, twoPasswords))

	golang, err := newToolchain(p.Architecture, t.TempDir())
	must.OK(t, err)
	root, err := golang.run(t.Context(), "list", "-m", "-f", "{{.Dir}}")
	must.OK(t, err)
	packages, err := golang.run(t.Context(), "list", "-deps", "-f", "{{if not .Standard}}{{.Dir}}{{end}}",
		entrypointPackage)
	must.OK(t, err)
	elsewhere := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum"} {
		must.OK(t, os.WriteFile(filepath.Join(elsewhere, name), []byte(read(t, root, name)), 0o644))
	}
	for directory := range strings.FieldsSeq(packages) {
		if rest, ours := strings.CutPrefix(directory, root); ours {
			must.OK(t, os.CopyFS(filepath.Join(elsewhere, rest), os.DirFS(directory)))
		}
	}
	t.Chdir(filepath.Join(elsewhere, "proxyimage", "entrypoint"))
	for name, value := range map[string]string{
		"CGO_ENABLED": "1", "GOOS": "darwin", "GOARCH": "arm64", "GOAMD64": "v3", "GOFLAGS": "-race",
		"GOEXPERIMENT": "nogreenteagc", "GOFIPS140": "latest", "TZ": "Asia/Tokyo", "ZONEINFO": t.TempDir(),
	} {
		t.Setenv(name, value)
	}
	config := filepath.Join(t.TempDir(), "env")
	const settings = "GOAMD64=v3\nGOFLAGS=-ldflags=-X=main.x=y\nGOEXPERIMENT=nogreenteagc\n"
	must.OK(t, os.WriteFile(config, []byte(settings), 0o600))
	t.Setenv("GOENV", config)
	if got := snapshot(t, stage(t, p, twoPasswords)); !maps.Equal(got, want) {
		t.Errorf("staged\n%v\nthe second time, and\n%v\nthe first", got, want)
	}
}

// Every error leaves the directory's parent as it was.
func TestNothingIsLeftBehind(t *testing.T) {
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	soon, cancelSoon := context.WithTimeout(context.Background(), 150*time.Millisecond)
	defer cancelSoon()
	secrets := parse(t, inSecrets)
	unknownZone := *secrets
	unknownZone.Timezone = "Mars/Olympus"
	for _, c := range []struct {
		name    string
		ctx     context.Context
		dir     string
		p       *params.Params
		n       Network
		prepare func(t *testing.T)
		want    string
	}{
		{name: "there already", dir: "taken", p: secrets, n: network,
			want: "taken is already there; remove it or choose another directory"},
		{name: "a link to nowhere", dir: "link", p: secrets, n: network, want: "link is already there"},
		{name: "no parent", dir: "missing/context", p: secrets, n: network, want: "no such file or directory"},
		{name: "no load balancer", dir: "context", p: secrets,
			want: "stage the image: squid.conf: loadBalancerCidrs: empty"},
		{name: "unknown zone", dir: "context", p: &unknownZone, n: network,
			want: "timezone in Go's database: open Mars/Olympus"},
		{name: "cancelled before", dir: "context", p: secrets, n: network, ctx: cancelled, want: "context canceled"},
		// The compiler works for seconds without its cache, so that the deadline falls into its work.
		{name: "cancelled meanwhile", dir: "context", p: secrets, n: network, ctx: soon, want: "deadline exceeded",
			prepare: func(t *testing.T) { t.Setenv("GOCACHE", t.TempDir()) }},
		{name: "no Go", dir: "context", p: secrets, n: network, want: "install Go and put it on PATH",
			prepare: func(t *testing.T) { t.Setenv("PATH", t.TempDir()) }},
		{name: "outside the module", dir: "context", p: secrets, n: network, want: "inside the module's directory",
			prepare: func(t *testing.T) { t.Chdir(t.TempDir()) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			parent := t.TempDir()
			must.OK(t, os.Mkdir(filepath.Join(parent, "taken"), 0o755))
			must.OK(t, os.Symlink("nowhere", filepath.Join(parent, "link")))
			if c.prepare != nil {
				c.prepare(t)
			}
			ctx := c.ctx
			if ctx == nil {
				ctx = t.Context()
			}
			err := Stage(ctx, filepath.Join(parent, c.dir), c.p, c.n, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			entries, err := os.ReadDir(parent)
			if err != nil || len(entries) != 2 || entries[0].Name() != "link" || entries[1].Name() != "taken" {
				t.Errorf("the parent holds %v, %v", entries, err)
			}
		})
	}
}
