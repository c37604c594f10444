package integration

import (
	"bufio"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/icholy/digest"

	"squidfleet/internal/bench"
	"squidfleet/internal/rig"
)

const (
	rounds    = 7
	roundTime = 2 * time.Second
	workers   = 16
)

// usualConfiguration is a Squid as the usual recipe sets it up: default limits, Digest with Squid's default counters, whoever has a password allowed first, a plain log line.
func usualConfiguration(conf string) string {
	var kept []string
	for line := range strings.Lines(conf) {
		for _, prefix := range []string{"http_port 35201", "acl load_balancer", "proxy_protocol_access allow load_balancer", "acl clients", "auth_param digest program", "auth_param digest realm", "error_directory", "pid_filename", "shutdown_lifetime"} {
			if strings.HasPrefix(line, prefix) {
				kept = append(kept, line)
			}
		}
	}
	return strings.Join(kept, "") + `auth_param digest children 20 startup=0 idle=1
auth_param digest nonce_garbage_interval 5 minutes
auth_param digest nonce_max_duration 30 minutes
auth_param digest nonce_max_count 50
acl digest_user proxy_auth REQUIRED
http_access allow digest_user
http_access allow clients
http_access deny all
cache deny all
visible_hostname unknown
forwarded_for off
request_header_access X-Forwarded-For deny all
request_header_access Via deny all
request_header_access Cache-Control deny all
httpd_suppress_version_string on
logformat usual %{%Y/%m/%d %H:%M:%S}tl %ts.%03tu %6tr %>a %Ss/%03>Hs %<st %rm %ru %[un %Sh/%<a %mt
access_log stdio:/dev/stdout usual
coredump_dir none
`
}

// BenchmarkThroughput compares Squid under our configuration with one under the usual one: the same Squid, clients and origins, in turns, medians of the rounds. It writes a section of docs/benchmarks.md.
func BenchmarkThroughput(b *testing.B) {
	w := &world{names: rig.StartDNS(b), origins: rig.StartOrigins(b, []int{80}, nil)}
	w.names.Set("origin.example", publicIPv4.String())
	body := strings.Repeat("x", 1024)
	w.origins.SetHandler(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { io.WriteString(rw, body) }))
	startBulk(b)

	contenders := []struct {
		name    string
		options rig.TaskOptions
		task    *rig.Task
	}{
		{name: "usual", options: options(map[string]any{"digest": "squid"})},
		{name: "digest=squid", options: options(map[string]any{"digest": "squid", "listenerPort": 35211})},
		{name: "digest=fleet", options: options(map[string]any{"digest": "fleet", "listenerPort": 35221})},
	}
	contenders[0].options.Edit = usualConfiguration
	for i := range contenders {
		contenders[i].task = rig.StartTask(b, contenders[i].options)
	}
	workloads := []struct {
		name, unit string
		run        func(*rig.Task) (amount float64, err error)
	}{
		{"keep-alive GET of 1 KiB", "requests", keepAliveGets},
		{"CONNECT each", "tunnels", newTunnels},
		{"bulk in a tunnel", "MB", bulk},
	}
	var report strings.Builder
	fmt.Fprintf(&report, "## Throughput of one task\n\n`make bench` (BenchmarkThroughput): medians of %d interleaved rounds of %s, %d connections at a time, clients and origins on the same machine of %d cores. "+
		"Usual: the same Squid, configured as the usual recipe does. CPU is that of Squid and its helpers.\n\n| | | a second | to usual | CPU µs each | to usual |\n|---|---|---|---|---|---|\n", rounds, roundTime, workers, runtime.NumCPU())
	for _, load := range workloads {
		rate, cpu := map[string][]float64{}, map[string][]float64{}
		for round := range rounds + 1 {
			for _, c := range contenders {
				before := cpuTime(b, c.task)
				begin := time.Now()
				amount, err := load.run(c.task)
				if err != nil {
					b.Fatalf("%s, %s: %v\n%s", load.name, c.name, err, c.task.Errors())
				}
				if round == 0 {
					continue // to warm up
				}
				rate[c.name] = append(rate[c.name], amount/time.Since(begin).Seconds())
				cpu[c.name] = append(cpu[c.name], float64((cpuTime(b, c.task)-before).Microseconds())/amount)
			}
		}
		usualRate, usualCPU := bench.Median(rate["usual"]), bench.Median(cpu["usual"])
		for _, c := range contenders {
			r, u := bench.Median(rate[c.name]), bench.Median(cpu[c.name])
			fmt.Fprintf(&report, "| %s (%s) | %s | %.0f | **%.2f** | %.1f | **%.2f** |\n", load.name, load.unit, c.name, r, r/usualRate, u, u/usualCPU)
			b.ReportMetric(r/usualRate, strings.Fields(load.name)[0]+"-"+c.name)
		}
	}
	b.Logf("\n%s", report.String())
	if err := bench.Report("throughput", report.String()); err != nil {
		b.Fatal(err)
	}
}

func onPort(o rig.TaskOptions, port int) rig.TaskOptions {
	o.Context["listenerPort"] = port
	return o
}

// cpuTime is the CPU time that a task's Squid and its helpers have used.
func cpuTime(b *testing.B, task *rig.Task) time.Duration {
	b.Helper()
	squids, err := task.Children("squid")
	if err != nil || len(squids) != 1 {
		b.Fatal(squids, err)
	}
	pids := squids
	for _, helper := range []string{"entrypoint", "digest_file_aut"} { // as long as the kernel keeps of a name
		helpers, err := rig.ChildrenOf(squids[0], helper)
		if err != nil {
			b.Fatal(err)
		}
		pids = append(pids, helpers...)
	}
	var ticks int
	for _, pid := range pids {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			b.Fatal(err)
		}
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		for _, field := range fields[11:13] {
			n, err := strconv.Atoi(field)
			if err != nil {
				b.Fatal(err)
			}
			ticks += n
		}
	}
	return time.Duration(ticks) * time.Second / 100 // USER_HZ
}

// loader is a client that answers challenges itself and as cheaply as it can, so that it is the proxy that is measured.
type loader struct {
	client rig.Client
	conn   net.Conn
	reader *bufio.Reader
	nonce  string
	count  int
}

func (l *loader) dial() (err error) {
	if l.conn, err = l.client.Dial(); err != nil {
		return err
	}
	if l.reader == nil {
		l.reader = bufio.NewReader(l.conn)
	} else {
		l.reader.Reset(l.conn)
	}
	return nil
}

func sum(parts ...string) string {
	hash := md5.Sum([]byte(strings.Join(parts, ":")))
	return hex.EncodeToString(hash[:])
}

// request sends one request under the nonce at hand and answers a challenge with a new one; it returns with the answer's head read, and its body if it is not a tunnel's.
func (l *loader) request(method, target, uri string) error {
	for range 3 {
		head := method + " " + target + " HTTP/1.1\r\nHost: origin.example\r\n"
		if l.nonce != "" {
			l.count++
			nc := fmt.Sprintf("%08x", l.count)
			response := sum(sum("alice", "squidfleet", password), l.nonce, nc, "c", "auth", sum(method, uri))
			head += `Proxy-Authorization: Digest username="alice", realm="squidfleet", nonce="` + l.nonce + `", uri="` + uri + `", qop=auth, nc=` + nc + `, cnonce="c", response="` + response + "\"\r\n"
		}
		if _, err := io.WriteString(l.conn, head+"\r\n"); err != nil {
			return err
		}
		answer, err := http.ReadResponse(l.reader, &http.Request{Method: method})
		if err != nil {
			return err
		}
		if answer.StatusCode == http.StatusOK && method == http.MethodConnect {
			return nil
		}
		if _, err := io.Copy(io.Discard, answer.Body); err != nil {
			return err
		}
		switch answer.StatusCode {
		case http.StatusOK:
			return nil
		case http.StatusProxyAuthRequired:
			challenge, err := digest.ParseChallenge(answer.Header.Get("Proxy-Authenticate"))
			if err != nil {
				return err
			}
			l.nonce, l.count = challenge.Nonce, 0
			if answer.Close {
				l.conn.Close()
				if err := l.dial(); err != nil {
					return err
				}
			}
		default:
			return fmt.Errorf("status %d", answer.StatusCode)
		}
	}
	return fmt.Errorf("challenged three times")
}

// together runs a job on all workers until the round's time is over, and adds up what they got done.
func together(task *rig.Task, job func(l *loader, over func() bool) (float64, error)) (float64, error) {
	end := time.Now().Add(roundTime)
	var total, failed atomic.Int64
	var first atomic.Value
	var all sync.WaitGroup
	for i := range workers {
		all.Go(func() {
			l := &loader{client: client(task)}
			l.client.Header = rig.ProxyHeader(netip.AddrFrom4([4]byte{198, 51, 100, byte(100 + i)}))
			amount, err := job(l, func() bool { return time.Now().After(end) })
			total.Add(int64(amount * 1000))
			if err != nil && failed.Add(1) == 1 {
				first.Store(err)
			}
		})
	}
	all.Wait()
	if failed.Load() > 0 {
		return 0, first.Load().(error)
	}
	return float64(total.Load()) / 1000, nil
}

func keepAliveGets(task *rig.Task) (float64, error) {
	return together(task, func(l *loader, over func() bool) (done float64, err error) {
		if err := l.dial(); err != nil {
			return 0, err
		}
		defer l.conn.Close()
		for !over() {
			if err := l.request("GET", "http://origin.example/", "/"); err != nil {
				return done, err
			}
			done++
		}
		return done, nil
	})
}

func newTunnels(task *rig.Task) (float64, error) {
	return together(task, func(l *loader, over func() bool) (done float64, err error) {
		for !over() {
			if err := l.dial(); err != nil {
				return done, err
			}
			if err := l.request("CONNECT", "origin.example:443", "origin.example:443"); err != nil {
				return done, err
			}
			if _, err := io.WriteString(l.conn, "0"); err != nil { // nothing, please
				return done, err
			}
			io.Copy(io.Discard, l.reader)
			l.conn.Close()
			done++
		}
		return done, nil
	})
}

func bulk(task *rig.Task) (float64, error) {
	return together(task, func(l *loader, over func() bool) (done float64, err error) {
		if err := l.dial(); err != nil {
			return 0, err
		}
		defer l.conn.Close()
		if err := l.request("CONNECT", "origin.example:443", "origin.example:443"); err != nil {
			return 0, err
		}
		if _, err := io.WriteString(l.conn, "1"); err != nil { // as much as there is, please
			return 0, err
		}
		buffer := make([]byte, 256<<10)
		bytes := 0
		for !over() {
			n, err := l.reader.Read(buffer)
			if err != nil {
				return 0, err
			}
			bytes += n
		}
		return float64(bytes) / 1e6, nil
	})
}

// startBulk answers on port 443 of every address: to "0" with nothing, to anything else with bytes without an end.
func startBulk(b *testing.B) {
	b.Helper()
	listener, err := net.Listen("tcp", ":443")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { listener.Close() })
	go func() {
		block := make([]byte, 256<<10)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				order := make([]byte, 1)
				if _, err := io.ReadFull(conn, order); err != nil || order[0] == '0' {
					return
				}
				for {
					if _, err := conn.Write(block); err != nil {
						return
					}
				}
			}()
		}
	}()
}
