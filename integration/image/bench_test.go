package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"squidfleet/internal/bench"
	"squidfleet/internal/engine"
	"squidfleet/internal/must"
	"squidfleet/internal/rig"
	"squidfleet/proxyimage/container"
)

const (
	benchRounds  = 5
	benchTunnels = 1000
	usual        = "usual"
	usualPort    = 35201
	// buildsVariable holds the seconds of each contender's builds.
	buildsVariable = "SQUIDFLEET_IMAGE_BUILDS"
)

// benching returns whether a benchmark is wanted, before the testing package reads its flags.
func benching(name string) bool {
	flag.Parse()
	pattern := flag.Lookup("test.bench").Value.String()
	wanted, err := regexp.MatchString(pattern, name)
	return pattern != "" && wanted && err == nil
}

// benchBuilds builds both contenders without a cache, in turns, and leaves each one's seconds to
// the copy of this program. It needs the machine's network.
func benchBuilds(e *engine.Engine, ours, base string) error {
	usualOptions := []string{"--build-arg=USERNAME=alice", "--build-arg=PASSWORD=" + passwords["alice"]}
	article, err := filepath.Abs(filepath.Join("testdata", usual))
	if err != nil {
		return err
	}
	seconds := map[string][]float64{}
	for range benchRounds {
		for _, c := range []struct {
			mode, directory string
			options         []string
		}{{usual, article, usualOptions}, {inSecrets, ours, nil}} {
			begun := time.Now()
			options := append(c.options, "--no-cache")
			if err := e.Build(context.Background(), c.directory, base, tag(c.mode), options...); err != nil {
				return err
			}
			seconds[c.mode] = append(seconds[c.mode], time.Since(begun).Seconds())
		}
	}
	content, err := json.Marshal(seconds)
	if err != nil {
		return err
	}
	return os.Setenv(buildsVariable, string(content))
}

// BenchmarkImage compares the image with that of the usual recipe, in turns, and writes a section
// of the benchmarks document.
func BenchmarkImage(b *testing.B) {
	rig.StartOrigins(b, []int{80, 443}, nil)
	var builds map[string][]float64
	must.OK(b, json.Unmarshal([]byte(os.Getenv(buildsVariable)), &builds))

	type measurement struct{ disk, compressed, start, health, stop, idle, tunnels []float64 }
	measured := map[string]*measurement{usual: {}, inSecrets: {}}
	for _, mode := range []string{usual, inSecrets} {
		disk, compressed := size(b, save(b, mode))
		measured[mode].disk, measured[mode].compressed = []float64{disk}, []float64{compressed}
	}
	for range benchRounds {
		for _, mode := range []string{usual, inSecrets} {
			m := measured[mode]
			p, start := timedStart(b, mode)
			m.start = append(m.start, float64(start.Milliseconds()))
			time.Sleep(time.Second)
			if mode == inSecrets {
				m.health = append(m.health, float64(p.timedHealth().Microseconds())/1000)
			}
			m.idle = append(m.idle, p.memory())
			open := make([]net.Conn, 0, benchTunnels)
			for range benchTunnels {
				open = append(open, p.tunnel("151.101.1.69:443"))
			}
			m.tunnels = append(m.tunnels, p.memory())
			for _, conn := range open {
				conn.Close()
			}
			time.Sleep(time.Second)
			m.stop = append(m.stop, p.timedStop().Seconds())
		}
	}

	var report strings.Builder
	fmt.Fprintf(&report, "## The image\n\n"+
		"`make bench` (BenchmarkImage): medians of %d rounds in turns, on one machine of %d processors (%s).\n"+
		"Usual: the same Debian and Squid as the usual recipe packs them, with the base of these tests\n"+
		"instead of a slim one. The kernel's start time of a process, to 10 ms, is before the engine's\n"+
		"runtime becomes the container's program. The limits are those that the image has to keep.\n\n"+
		"| | usual | squidfleet | ratio | limit |\n|---|---|---|---|---|\n",
		benchRounds, runtime.NumCPU(), runtime.GOARCH)
	row := func(what, format string, limit float64, theirs, ours []float64) {
		usual, ratio, kept := "", "", ""
		value := bench.Median(ours)
		if len(theirs) > 0 {
			median := bench.Median(theirs)
			usual, ratio = fmt.Sprintf(format, median), fmt.Sprintf("**%.3f**", value/median)
		}
		switch {
		case limit == 0:
		case value <= limit:
			kept = fmt.Sprintf("%v: kept", limit)
		default:
			kept = fmt.Sprintf("%v: **not kept**", limit)
		}
		fmt.Fprintf(&report, "| %s | %s | "+format+" | %s | %s |\n", what, usual, value, ratio, kept)
	}
	theirs, ours := measured[usual], measured[inSecrets]
	row("size, MB", "%.1f", diskLimit, theirs.disk, ours.disk)
	row("size compressed (gzip), MB", "%.1f", compressedLimit, theirs.compressed, ours.compressed)
	row("build without a cache, s", "%.1f", 0, builds[usual], builds[inSecrets])
	row("start of the first process to first authenticated 200, ms", "%.0f", 300, theirs.start, ours.start)
	row("health check, ms", "%.0f", 1000, nil, ours.health)
	row("SIGTERM, idle, to exit, s", "%.1f", 3, theirs.stop, ours.stop)
	row("memory idle (PSS), MB", "%.1f", 0, theirs.idle, ours.idle)
	row(fmt.Sprintf("memory with %d tunnels (PSS), MB", benchTunnels), "%.1f", 0, theirs.tunnels, ours.tunnels)
	b.Logf("\n%s", report.String())
	must.OK(b, bench.Report("../..", "image", report.String()))
}

// parts are what the files of the image are for. The first pattern that a name matches counts.
var parts = []struct{ what, files, why string }{
	{"Squid", `^/usr/sbin/squid$`, "Debian's binary"},
	{"C and C++ library, loader", `/(ld-linux[^/]*|lib(c|m|stdc\+\+|gcc_s|resolv))\.so[.0-9]*$`, ""},
	{"TLS", `/lib(gnutls|nettle|hogweed|gmp|p11-kit|tasn1|unistring|idn2|ffi)\.so[.0-9]*$`,
		"GnuTLS and what it needs: linked into Squid, unused here"},
	{"other libraries", `\.so[.0-9]*$`, "Kerberos, systemd, conntrack and more: linked into Squid, mostly unused"},
	{"entrypoint", `^/srv/squidfleet/entrypoint$`, "static Go: init, health check, Digest helper"},
	{"copyright files of the packages", `/copyright$`, "their licences ask for them"},
	{"the rest", ``, "dpkg's records, which tell a scanner the packages and their versions; error pages, " +
		"configuration, time zone, Squid's helpers"},
}

// BenchmarkImageContents writes what each megabyte is for into the document about the image.
func BenchmarkImageContents(b *testing.B) {
	files := filesOf(b, save(b, inSecrets))
	var report strings.Builder
	fmt.Fprintf(&report, ""+
		"`make bench` (BenchmarkImageContents), %s, in bytes of a tar archive, plain and with gzip:\n\n"+
		"| | files | MB | gzip, MB | |\n|---|---|---|---|---|\n", runtime.GOARCH)
	for _, part := range parts {
		pattern, found := regexp.MustCompile(part.files), 0
		var archive bytes.Buffer
		writer := tar.NewWriter(&archive)
		for _, name := range slices.Sorted(maps.Keys(files)) {
			if !pattern.MatchString(name) {
				continue
			}
			found++
			must.OK(b, writer.WriteHeader(files[name].Header))
			_, err := writer.Write(files[name].content)
			must.OK(b, err)
			delete(files, name)
		}
		must.OK(b, writer.Close())
		disk := archive.Len()
		var kept bytes.Buffer
		packer := gzip.NewWriter(&kept)
		_, err := archive.WriteTo(packer)
		must.OK(b, errors.Join(err, packer.Close()))
		fmt.Fprintf(&report, "| %s | %d | %.1f | %.1f | %s |\n", part.what, found, float64(disk)/megabyte,
			float64(kept.Len())/megabyte, part.why)
	}
	b.Logf("\n%s", &report)
	must.OK(b, bench.ReportIn(root, "image.md", "contents", report.String()))
}

// timedHealth runs the health check beside the container. The engine would take longer to enter
// the container than the check takes.
func (p *proxy) timedHealth() time.Duration {
	p.t.Helper()
	check := exec.Command(filepath.Join(p.fleet.context, container.Entrypoint), container.Health)
	check.Env = []string{fmt.Sprintf("%s=/proc/%d/root%s", container.EnvDir, p.mainPid(), container.Dir)}
	begun := time.Now()
	if output, err := check.CombinedOutput(); err != nil {
		p.t.Fatalf("%v: %s", err, output)
	}
	return time.Since(begun)
}

// timedStop sends SIGTERM to the first process and returns the time until its end.
func (p *proxy) timedStop() time.Duration {
	p.t.Helper()
	pid := p.mainPid()
	begun := time.Now()
	must.OK(p.t, syscall.Kill(pid, syscall.SIGTERM))
	if !must.Within(time.Minute, func() bool { // the usual one takes half of that
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || bytes.Contains(stat, []byte(") Z "))
	}) {
		p.t.Fatal("the container does not end")
	}
	return time.Since(begun)
}

// memory is the proportional set size of all processes, in MB.
func (p *proxy) memory() float64 {
	p.t.Helper()
	total := 0.
	for _, pids := range p.processes() {
		for _, pid := range pids {
			total += number(p.t, fmt.Sprintf("/proc/%d/smaps_rollup", pid), `(?m)^Pss:\s+(\d+) kB`)
		}
	}
	return total * 1024 / megabyte
}

// timedStart starts a container and returns the time from its first process's start, by the
// engine's runtime before it becomes the container's program, to the first authenticated 200.
func timedStart(t testing.TB, mode string) (*proxy, time.Duration) {
	t.Helper()
	p := prepare(t, mode)
	begun := make(chan error, 1)
	go func() {
		_, err := containers.Run(context.Background(), "start", p.id)
		begun <- err
	}()
	must.Await(t, "an answer", func() bool {
		response, err := p.client().Request("GET", "http://151.101.1.69/")
		return err == nil && response.StatusCode == 200
	})
	at := number(t, "/proc/uptime", `^(\S+)`)
	must.OK(t, <-begun)
	const ticks = 100 // a second (USER_HZ)
	started := number(t, fmt.Sprintf("/proc/%d/stat", p.mainPid()), `\) (?:\S+ ){19}(\d+)`) / ticks
	return p, time.Duration((at - started) * float64(time.Second))
}
