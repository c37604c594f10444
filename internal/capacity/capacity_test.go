package capacity

import (
	"strings"
	"testing"

	"squidfleet/internal/doctest"
	"squidfleet/squid"
)

func TestTheDocumentsHoldTheFigures(t *testing.T) {
	doctest.Section(t, "../..", "capacity", Recorded().Table())
	doctest.Section(t, "../..", "capacity measured", Recorded().Measured())
}

// A tunnel takes two descriptors, of which Squid keeps 100 for itself.
func TestATaskHoldsHalfAsManyTunnelsAsDescriptors(t *testing.T) {
	if len(Recorded().Sizes) == 0 {
		t.Fatal("no sizes")
	}
	for _, size := range Recorded().Sizes {
		want := squid.Config{Memory: size.Memory}.Descriptors()/2 - 100
		if size.Tunnels > want+100 || size.Tunnels < want && !size.AtLeast {
			t.Errorf("%d MiB: %d tunnels, want %d", size.Memory, size.Tunnels, want)
		}
	}
}

func example() Figures {
	load := func(cpu int, auth squid.Auth, connections int, requests, https float64) Load {
		load := Load{
			CPU: cpu, Auth: auth, Connections: connections,
			Requests: Rate{PerSecond: requests, Task: 1}, HTTPS: Rate{PerSecond: https, Task: .5, Clients: 1.25},
			Half: Latency{float64(connections), 30}, Direct: Latency{1, 2},
		}
		if auth == squid.AuthDigest {
			load.MB = &Rate{PerSecond: 3 * requests, Task: 1}
		}
		return load
	}
	return Figures{
		Sizes: []Size{{256, 512, 2509, false}, {512, 1024, 5000, true}},
		Loads: []Load{
			load(256, squid.AuthDigest, 1, 10, 10), load(256, squid.AuthDigest, 16, 1000, 400),
			load(256, squid.AuthDigest, 256, 900, 380), load(512, squid.AuthDigest, 16, 1999, 777),
			load(256, squid.AuthBasic, 16, 1800, 600), load(512, squid.AuthBasic, 16, 3998, 1165),
		},
	}
}

func TestATaskCarriesTheLeastOfWhatWasMeasuredWithSeveralConnections(t *testing.T) {
	for _, c := range []struct {
		cpu                 int
		auth                squid.Auth
		requests, https, mb float64
		added               Latency
		tunnels             int
	}{
		{256, squid.AuthDigest, 900, 400, 2700, Latency{255, 28}, 2509},
		{256, squid.AuthAny, 900, 400, 2700, Latency{255, 28}, 2509},
		{256, squid.AuthBasic, 1800, 600, 2700, Latency{15, 28}, 2509},
		{512, squid.AuthDigest, 1999, 777, 5997, Latency{15, 28}, 5000},
		{4096, squid.AuthBasic, 3998, 1165, 5997, Latency{15, 28}, 5000},
	} {
		got := example().Task(c.cpu, c.auth)
		if got.Requests.PerSecond != c.requests || got.HTTPS.PerSecond != c.https || got.MB.PerSecond != c.mb ||
			got.Added != c.added || got.Tunnels != c.tunnels {
			t.Errorf("%d, %s: %+v", c.cpu, c.auth, got)
		}
	}
}

// What was not the task's limit is not said to be, and no figure has more digits than another
// machine would have.
func TestTablesSayWhatWasNotTheTasksLimit(t *testing.T) {
	for text, lines := range map[string][]string{
		example().Table(): {
			"| 256, 512 | digest | ≥ 400 | 900 | 2,700 | 260 ms, 28 ms | 2,500 |",
			"| 512, 1024 | basic | ≥ 1,200 | 4,000 | 6,000 | 15 ms, 28 ms | ≥ 5,000 |",
		},
		example().Measured(): {
			"| 512, digest | 16 | 1,999 | 0.00, 0.0 | 16.00, 30.0 | 1.00, 2.0 | ≥ 777 (50 %, 1.2) | 5,997 |",
			"2,509 with 512 MiB, ≥ 5,000 with 1024 MiB.",
		},
	} {
		for _, line := range lines {
			if !strings.Contains(text, line) {
				t.Errorf("no %q in\n%s", line, text)
			}
		}
	}
}

func TestTheTasksOwnLimitSaysMoreThanAnother(t *testing.T) {
	own, lower := Rate{PerSecond: 5, Task: 1}, Rate{PerSecond: 4, Task: 1}
	other, higher := Rate{PerSecond: 3, Task: .5}, Rate{PerSecond: 9, Task: .5}
	for _, c := range []struct{ a, b, want Rate }{
		{Rate{}, own, own}, {own, lower, lower}, {own, other, own}, {own, higher, own}, {other, higher, higher},
	} {
		if least(c.a, c.b) != c.want || c.a.PerSecond > 0 && least(c.b, c.a) != c.want {
			t.Errorf("of %v and %v: %v", c.a, c.b, least(c.a, c.b))
		}
	}
}
