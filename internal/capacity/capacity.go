// Package capacity holds what one task was measured to carry. BenchmarkCapacity, of
// integration/image, writes figures.json. The documents' tables and squidfleet cost come from that.
package capacity

import (
	_ "embed"
	"encoding/json"
	"os"
	"path/filepath"
	"sync"

	"squidfleet/squid"
)

// Figures are those of one run of the benchmark.
type Figures struct {
	// Date is the day of the run.
	Date string `json:"date"`
	// Machine is its processor, Cores how many it has. Clients and origins run there as well.
	Machine string `json:"machine"`
	Cores   int    `json:"cores"`
	Squid   string `json:"squid"`
	// Rounds is of how many rounds a figure is the median. Seconds is how long one counts.
	Rounds  int     `json:"rounds"`
	Seconds float64 `json:"seconds"`
	Sizes   []Size  `json:"sizes"`
	Loads   []Load  `json:"loads"`
}

// Size is a size of a task. The sizes are in rising order.
type Size struct {
	// CPU is in units, 1024 to a vCPU, Memory in MiB.
	CPU    int `json:"cpu"`
	Memory int `json:"memory"`
	// Tunnels is how many the task held at a time. With AtLeast, clients or origins were the limit.
	Tunnels int  `json:"tunnels"`
	AtLeast bool `json:"atLeast"`
}

// Load is what a task carried with a number of connections at a time.
type Load struct {
	CPU         int        `json:"cpu"`
	Auth        squid.Auth `json:"auth"`
	Connections int        `json:"connections"`
	// Requests are plain ones, of 1 KiB, on connections that stay open. Took is what they took.
	Requests Rate    `json:"requests"`
	Took     Latency `json:"took"`
	// HTTPS are requests of 1 KiB with a connection, a tunnel and a TLS handshake each.
	HTTPS Rate `json:"https"`
	// MB is what went through tunnels in one direction. It does not depend on Auth, so it is measured
	// with AuthDigest only.
	MB *Rate `json:"mb,omitempty"`
	// Half is what plain requests took at half the rate of Requests, and Direct at half that
	// of the smallest task, without a proxy.
	Half   Latency `json:"half"`
	Direct Latency `json:"direct"`
}

// Rate is how much a second there was.
type Rate struct {
	PerSecond float64 `json:"perSecond"`
	// Task is what of its processor's share the task used, from 0 to 1. Clients is how many cores
	// clients and origins used.
	Task    float64 `json:"task"`
	Clients float64 `json:"clients"`
}

// used is what of its share a task uses that is the limit itself.
const used = 0.9

// AtLeast returns whether something else than the task was the limit.
func (r Rate) AtLeast() bool { return r.Task < used }

// Latency is in milliseconds: half of the requests took at most P50, 99 percent at most P99.
type Latency struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

// Task is what a task carries with 16 connections or more: the least of the figures for which it
// was the limit.
type Task struct {
	Size
	Requests, HTTPS, MB Rate
	// Added is what the proxy adds at half the rate of Requests, the most of the figures.
	Added Latency
}

// severalConnections are from how many on the task is the limit and not the exchange's own time.
const severalConnections = 16

// Task returns what a task of one of the Sizes carries. Of another cpu it is that of the largest
// Size which is not larger. AuthAny is as AuthDigest, which clients may choose then.
func (f Figures) Task(cpu int, auth squid.Auth) Task {
	size := f.Sizes[0]
	for _, s := range f.Sizes {
		if s.CPU <= cpu {
			size = s
		}
	}
	if auth == squid.AuthAny {
		auth = squid.AuthDigest
	}
	task := Task{Size: size}
	for _, load := range f.Loads {
		if load.CPU != size.CPU || load.Connections < severalConnections {
			continue
		}
		if load.MB != nil {
			task.MB = least(task.MB, *load.MB)
		}
		if load.Auth == auth {
			task.Requests = least(task.Requests, load.Requests)
			task.HTTPS = least(task.HTTPS, load.HTTPS)
			task.Added.P50 = max(task.Added.P50, load.Half.P50-load.Direct.P50)
			task.Added.P99 = max(task.Added.P99, load.Half.P99-load.Direct.P99)
		}
	}
	return task
}

// least is the lower of two rates for which the task was the limit, or the one for which it was.
// Where it was for neither, the higher one says more. A rate of zero is none.
func least(a, b Rate) Rate {
	switch {
	case a.PerSecond == 0, a.AtLeast() && !b.AtLeast():
		return b
	case b.AtLeast() && !a.AtLeast(), (b.PerSecond < a.PerSecond) == a.AtLeast():
		return a
	}
	return b
}

//go:embed figures.json
var recorded []byte

// Recorded returns the figures in this program.
var Recorded = sync.OnceValue(func() (f Figures) {
	if err := json.Unmarshal(recorded, &f); err != nil {
		panic(err) // a test reads it
	}
	return f
})

// Record writes the figures to where this program gets them from. Root is the module's directory.
func (f Figures) Record(root string) error {
	text, err := json.MarshalIndent(f, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, "internal", "capacity", "figures.json"), append(text, '\n'), 0o644)
}
