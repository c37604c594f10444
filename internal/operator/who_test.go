package operator

import (
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"squidfleet/internal/operator/standin"
)

// logged is a line of the log, as far as Who reads it.
func logged(end time.Time, took time.Duration, egress, client, user, url, destination string) string {
	return fmt.Sprintf(`{"egress":%q,"time":%q,"durationMs":%d,"client":%q,"user":%q,"method":"GET","url":%q,`+
		`"status":200,"destination":%q,"bytesFromClient":10,"bytesToClient":1000}`, egress,
		end.Format("2006-01-02T15:04:05.000-0700"), took.Milliseconds(), client, user, url, destination)
}

const gone = "192.0.2.200" // no task has it

func whoIn(aws *standin.AWS, lines ...string) {
	aws.Flood(len(lines), func(i int) (string, time.Time) { return lines[i], parsed(lines[i]) })
}

// parsed is the time of a line, of which CloudWatch Logs learns a little later.
func parsed(line string) time.Time {
	return ended(Event{Line: parseLine(line)}).Add(20 * time.Millisecond)
}

func TestWhoCountsWhatWasUnderWay(t *testing.T) {
	f, aws := connect(t)
	from := time.Date(2026, 3, 4, 5, 0, 0, 0, time.UTC)
	to := from.Add(10 * time.Minute)
	line := func(end time.Time, took time.Duration, user string) string {
		return logged(end, took, gone, "203.0.113.7", user, "a.example:443", "198.51.100.80")
	}
	berlin := time.FixedZone("", 3600)
	whoIn(aws,
		line(from.Add(-time.Second), time.Minute, "too-early"),
		line(from.Add(-time.Millisecond), time.Minute, "logged-late"),
		line(from.Add(time.Second).In(berlin), time.Hour, "began-before"),
		logged(from.Add(time.Minute), 0, "198.51.100.1", "203.0.113.7", "elsewhere", "a.example:443", "198.51.100.80"),
		logged(from.Add(time.Minute), 0, gone, "203.0.113.7", "refused", "a.example:443", "-"),
		line(to.Add(-time.Second), 0, "within"),
		line(to.Add(59*time.Minute), time.Hour, "ended-after"),
		line(to.Add(59*time.Minute), 58*time.Minute, "too-late"),
		line(to.Add(2*time.Hour), 3*time.Hour, "too-long"),
	)
	uses, err := f.Who(t.Context(), WhoQuery{
		Address: netip.MustParseAddr(gone), From: from, To: to, Longest: time.Hour,
	})
	var users []string
	for _, use := range uses {
		users = append(users, use.User)
	}
	if want := []string{"began-before", "ended-after", "within"}; err != nil || !slices.Equal(users, want) {
		t.Errorf("%q, %v; want %q", users, err, want)
	}
}

func TestWhoAddsUpAndFilters(t *testing.T) {
	f, aws := connect(t)
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	line := func(second int, url, destination string) string {
		end := at.Add(time.Duration(second) * time.Second)
		return logged(end, 500*time.Millisecond, gone, "203.0.113.7", "alice", url, destination)
	}
	whoIn(aws,
		line(0, "http://www.Shop.example/a", "198.51.100.80"),
		line(1, "http://www.Shop.example/b", "198.51.100.80"),
		line(2, "shop.example:443", "198.51.100.81"),
		line(3, "http://notshop.example:8080/", "198.51.100.82"),
		line(4, "%5B2001:db8::1%5D:443", "2001:db8::1"),
	)
	q := WhoQuery{Address: netip.MustParseAddr(gone), From: at.Add(-time.Minute), To: at.Add(time.Minute)}
	uses, err := f.Who(t.Context(), q)
	first := Use{
		User: "alice", Client: "203.0.113.7", Host: "www.Shop.example:80", Destination: "198.51.100.80", Requests: 2,
		BytesFromClient: 20, BytesToClient: 2000, First: at.Add(-500 * time.Millisecond), Last: at.Add(time.Second),
	}
	if err != nil || len(uses) != 4 || uses[0] != first {
		t.Fatalf("%+v, %v", uses, err)
	}
	for destination, want := range map[string]string{
		"shop.example": "www.Shop.example:80 shop.example:443", "SHOP.example.": "www.Shop.example:80 shop.example:443",
		"www.shop.example": "www.Shop.example:80", "example.org": "", "198.51.100.82": "notshop.example:8080",
		"2001:db8:0::1": "[2001:db8::1]:443", "::ffff:198.51.100.81": "shop.example:443",
	} {
		q.Destination = destination
		uses, err := f.Who(t.Context(), q)
		var hosts []string
		for _, use := range uses {
			hosts = append(hosts, use.Host)
		}
		if got := strings.Join(hosts, " "); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", destination, got, err, want)
		}
	}
}

// A million lines, of which every 50th is asked for. Those alone are more than the memory.
func TestWhoOfALargeLogTakesLittleMemory(t *testing.T) {
	f, aws := connect(t)
	begin := time.Date(2026, 3, 4, 5, 0, 0, 0, time.UTC)
	const lines, asked, most = 1_000_000, 20_000, 48 << 20
	other := logged(begin, 0, "198.51.100.1", "203.0.113.7", "bob", "b.example:443", "192.0.2.81")
	url := "http://a.example/" + strings.Repeat("x", most/asked*2)
	peak := uint64(0)
	aws.Flood(lines, func(i int) (string, time.Time) {
		at := begin.Add(time.Duration(i) * time.Millisecond)
		if i%(lines/asked) > 0 {
			return other, at
		}
		if i%(lines/10) == 0 {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapAlloc)
		}
		return logged(at, 0, gone, "203.0.113.7", fmt.Sprint("user", i%7), url, "192.0.2.80"), at
	})
	uses, err := f.Who(t.Context(), WhoQuery{
		Address: netip.MustParseAddr(gone), From: begin, To: begin.Add(time.Hour),
	})
	requests := 0
	for _, use := range uses {
		requests += use.Requests
	}
	if err != nil || len(uses) != 7 || requests != asked {
		t.Errorf("%d users, %d requests, %v", len(uses), requests, err)
	}
	if peak > most {
		t.Errorf("%d MiB of memory", peak>>20)
	}
}

func TestWhoRefusesAnAnswerWithoutEnd(t *testing.T) {
	f, aws := connect(t)
	at := time.Date(2026, 3, 4, 5, 0, 0, 0, time.UTC)
	for _, extra := range []int{0, 1} {
		aws.Flood(mostUses+extra, func(i int) (string, time.Time) {
			return logged(at, 0, gone, "203.0.113.7", "alice", fmt.Sprintf("h%d.example:443", i), "192.0.2.80"), at
		})
		uses, err := f.Who(t.Context(), WhoQuery{Address: netip.MustParseAddr(gone), From: at, To: at})
		if extra == 0 && (err != nil || len(uses) != mostUses) ||
			extra == 1 && (err == nil || !strings.Contains(err.Error(), "ask for a shorter time")) {
			t.Errorf("%d more than the most: %d uses, %v", extra, len(uses), err)
		}
	}
}
