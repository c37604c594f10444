package integration

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// named is a target of both methods, with the status for it. A host has no port.
func named(status int, targets ...string) (out []cell) {
	for _, host := range strings.Fields(strings.Join(targets, " ")) {
		out = append(out, cell{alice, "GET", "http://" + host + "/", status},
			cell{alice, "CONNECT", host + ":443", status}, cell{alice, "CONNECT", host + ":80", status})
	}
	return out
}

// oddNames are no spellings of blocked.example for Squid, nor for DNS.
const oddNames = "blocked%2eexample blocked.example%2e bl%6fcked.example ｂlocked.example blocked。example " +
	"bloc\u00adked.example blocked.example.. blocked..example"

var blockedCells = slices.Concat(
	named(refused, "blocked.example BLOCKED.Example blocked.example. BLOCKED.EXAMPLE. sub.blocked.example",
		"a.b.blocked.example. exact.example Exact.Example. xn--bcher-kva.example private.blocked.example"),
	named(served, "notblocked.example x-blocked.example sub.exact.example blocked.example.org 93.184.215.14"),
	named(notServed, oddNames, ".blocked.example ..blocked.example exact.example%00.org"),
	[]cell{
		{alice, "GET", "http://blocked.example:80/", refused},
		{alice, "GET", "http://origin.example@blocked.example/", refused},
		{alice, "GET", "http://origin.example:80@blocked.example./", refused},
		{alice, "GET", "http://blocked.example@origin.example/", served},
		{alice, "GET", "http://origin.example/blocked.example", served},
		{alice, "CONNECT", "origin.example@blocked.example:443", notServed},
	})

var allowedCells = slices.Concat(
	named(served, "origin.example ORIGIN.Example. origin.example.. allowed.example sub.allowed.example."),
	named(refused, "dual.example notallowed.example x-allowed.example sub.origin.example allowed.example.org",
		"93.184.215.14 1572394766 0x5db8d70e 0x5d.0xb8.0xd7.0xe 0135.0270.0327.016 93.12113678",
		"[2606:2800:21f:cb07::] [::ffff:93.184.215.14] [::ffff:5db8:d70e]",
		"private.allowed.example", // by its address
		"blocked.allowed.example sub.blocked.allowed.example."),
	named(noAddress, "nowhere.allowed.example"),
	named(notServed, ".notallowed.example origin%2eexample 93.184.215.14%20origin.example"),
	[]cell{
		{alice, "GET", "http://origin.example@dual.example/", refused},
		{alice, "GET", "http://origin.example:80@93.184.215.14/", refused},
		{alice, "GET", "http://93.184.215.14#origin.example", notServed},
		{alice, "GET", "http://93.184.215.14?.origin.example", notServed},
		{alice, "CONNECT", "93.184.215.14:443#origin.example", notServed},
		{alice, "CONNECT", "93.184.215.14:443/origin.example", notServed},
	})

// domainCases are tasks with lists of names, and what comes of requests to them.
var domainCases = map[string]struct {
	context map[string]any
	cells   []cell
}{
	"blocked": {map[string]any{"blockedDomains": ".blocked.example,exact.example,xn--bcher-kva.example"}, blockedCells},
	"allowed": {map[string]any{"allowedDomains": ".allowed.example,origin.example",
		"blockedDomains": ".blocked.allowed.example"}, allowedCells},
}

func domainWorld(t *testing.T) *world {
	w := newWorld(t)
	for _, name := range strings.Fields("blocked.example sub.blocked.example a.b.blocked.example exact.example " +
		"sub.exact.example notblocked.example x-blocked.example blocked.example.org allowed.example " +
		"sub.allowed.example notallowed.example x-allowed.example sub.origin.example allowed.example.org " +
		"blocked.allowed.example sub.blocked.allowed.example .blocked.example .notallowed.example") {
		w.names.Set(name, publicIPv4.String())
	}
	w.names.Set("private.allowed.example", "10.9.8.7")
	w.names.Set("private.blocked.example", "10.9.8.7")
	return w
}

// checkNames looks for names that a task serves or refuses although its lists say something else,
// and for questions to the name server about refused names and addresses.
func checkNames(s subject, cells []cell) {
	before := s.w.names.Asked()
	for _, c := range cells {
		s.w.run(s.wrong, s.task, c)
	}
	for name, count := range s.w.names.Asked() {
		if count == before[name] {
			continue
		}
		refusedName := slices.ContainsFunc(cells, func(c cell) bool {
			return c.method == "CONNECT" && c.status == refused && !strings.HasPrefix(c.target, "private.allowed.") &&
				strings.EqualFold(name, strings.TrimSuffix(c.target[:strings.LastIndex(c.target, ":")], ".")+".")
		})
		if refusedName || strings.HasSuffix(name, ".arpa.") {
			s.wrong("the name server was asked about %s", name)
		}
	}
	response, err := client(s.task).Request("GET", "http://sub.blocked.example/")
	if err != nil || response.StatusCode != refused || proxyStatus(response.Header) != ofType("http_request_denied") {
		s.wrong("the refusal of a name: %+v, %v", response, err)
	}
}

func TestNamesAreAllowedAndBlocked(t *testing.T) {
	inModes(t, digestModes, func(t *testing.T, m mode) {
		w := domainWorld(t)
		for name, c := range domainCases {
			t.Run(name, func(t *testing.T) {
				task := startTask(t, options(m.with(c.context)))
				checkNames(subject{t: t, w: w, wrong: t.Errorf, task: task}, c.cells)
				task.Kill()
			})
		}
		w.checkEver(t)
	})
}

// Each line about names is needed, and each -n.
func TestNoRuleAboutNamesCanBeTakenAway(t *testing.T) {
	w := domainWorld(t)
	for name, c := range domainCases {
		o := options(c.context)
		lines := slices.DeleteFunc(linesOf(t, o), func(line string) bool { return !strings.Contains(line, "_domains") })
		if len(lines) < 4 {
			t.Errorf("%s: only %d lines", name, len(lines))
		}
		check := func(s subject) { checkNames(s, c.cells) }
		eachIsNeeded(t, w, o, lines, check)
		task := startTask(t, o.and(func(conf string) string {
			return strings.ReplaceAll(conf, " dstdomain -n ", " dstdomain ")
		}))
		if len((subject{t: t, w: w, task: task}).problems(check)) == 0 {
			t.Errorf("%s without -n: no check fails", name)
		}
		task.Kill()
	}
}

// Squid keeps names in a tree that it searches from their ends. In a long list, also names that
// differ by a hyphen, a digit or a dot are found.
func TestEachNameOfALongListIsFound(t *testing.T) {
	newWorld(t)
	var labels, entries []string
	for _, first := range strings.Split("ab0_-", "") {
		for _, second := range strings.Split("ab0_-x", "") {
			labels = append(labels, "x"+first+second+"x")
		}
	}
	for i, label := range labels {
		if i%2 == 0 {
			entries = append(entries, "."+label+".example")
			continue
		}
		entries = append(entries, label+".example")
		for k, below := range labels {
			entries = append(entries, strings.Repeat(".", k%2)+below+"."+label+".example")
		}
	}
	rand.New(rand.NewPCG(3, 4)).Shuffle(len(entries), func(i, k int) {
		entries[i], entries[k] = entries[k], entries[i]
	})
	task := startTask(t, options(map[string]any{"blockedDomains": strings.Join(entries, ",")}))
	for _, entry := range entries {
		name, below := strings.CutPrefix(entry, ".")
		listed := func(host string) bool { return slices.Contains(entries, host) || slices.Contains(entries, "."+host) }
		for _, host := range []string{name, "xa0x." + name, "x" + name, "x-" + name} {
			want := noAddress
			if listed(host) || below && strings.HasSuffix(host, "."+name) {
				want = refused
			}
			if got := code(client(task).Request("CONNECT", host+":443")); got != want {
				t.Errorf("%s with %s in the list: %d, want %d", host, entry, got, want)
			}
		}
	}
}
