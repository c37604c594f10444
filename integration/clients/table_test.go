package clients

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"squidfleet/internal/must"
	"squidfleet/squid"
)

// row is a client of the table in docs/use.md.
type row struct {
	client string
	cells  []cell // by way
}

// cell is what the table says about a client and a way in.
type cell struct {
	says string
	// line is what is to be run: the row's, unless the cell has one of its own.
	line string
}

const header = "| client | `any` over TLS | `basic` inside | `none` inside | `digest` | lines |"

// works says for which destinations a client gets through. Cells that are not here are not tried.
var works = map[string]map[string]bool{
	"yes":   {"http": true, "https": true},
	"plain": {"http": true},
	"HTTPS": {"https": true},
	"no":    {},
}

// untried are the cells that no test can confirm: see the text above the table.
var untried = []string{"hangs", "yes, read", "no, read"}

var (
	link = regexp.MustCompile(`\[(.*?)\]\(.*?\)`)
	code = regexp.MustCompile("`(.+?)`")
)

// here chooses from what a cell says of Debian 12's version of a client and of Debian 13's. Other
// systems are as new as the latter.
func here(says string) string {
	older, newer, differ := strings.Cut(says, ", ")
	switch {
	case !differ || newer == "read":
		return says
	case debian12:
		return older
	}
	return newer
}

var debian12 = func() bool {
	release, err := os.ReadFile("/etc/os-release")
	return err == nil && strings.Contains(string(release), "\nVERSION=\"12 (bookworm)\"\n")
}()

// table reads the clients of the document.
func table(t *testing.T) (rows []row) {
	t.Helper()
	text, err := os.ReadFile("../../docs/use.md")
	must.OK(t, err)
	_, rest, found := strings.Cut(string(text), header+"\n|---|---|---|---|---|---|\n")
	if !found {
		t.Fatalf("docs/use.md has no table %s", header)
	}
	for text := range strings.Lines(rest) {
		if !strings.HasPrefix(text, "|") {
			break
		}
		columns := strings.Split(strings.Trim(link.ReplaceAllString(text, "$1"), "|\n"), "|")
		if len(columns) != len(ways)+2 {
			t.Fatalf("not %d columns: %s", len(ways)+2, text)
		}
		r := row{client: strings.TrimSpace(columns[0])}
		for _, says := range columns[1 : len(ways)+1] {
			c := cell{says: here(strings.TrimSpace(says))}
			if own := code.FindStringSubmatch(says); own != nil {
				c = cell{"yes", own[1]}
			} else if line := code.FindStringSubmatch(columns[len(ways)+1]); line != nil {
				c.line = line[1]
			}
			if works[c.says] == nil && !slices.Contains(untried, c.says) {
				t.Errorf("%s: %q", r.client, c.says)
			}
			r.cells = append(r.cells, c)
		}
		rows = append(rows, r)
	}
	return rows
}

// Many clients are tested, each has a way for https:// with what it documents itself, and every
// file beside the document is tested.
func TestTheTableHasAWayForEveryClient(t *testing.T) {
	tested, lines := 0, ""
	for _, r := range table(t) {
		secure, read := false, false
		for i, c := range r.cells {
			secure = secure || works[c.says]["https"] && ways[i].auth != squid.AuthDigest
			read = read || strings.HasSuffix(c.says, ", read")
			lines += c.line + "\n"
		}
		if read {
			continue
		}
		tested++
		if !secure {
			t.Errorf("%s has no way in for https://", r.client)
		}
	}
	if tested < 24 {
		t.Errorf("%d clients are tested, want 24", tested)
	}
	files, err := filepath.Glob(directory + "/[^.]*")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	others := []string{"digest.mjs", "digest.py", "embed.go", "package.json", "package-lock.json", "node_modules"}
	for _, file := range files {
		name := filepath.Base(file)
		if !slices.Contains(others, name) && !strings.Contains(lines, name+" ") {
			t.Errorf("no line runs %s", file)
		}
	}
}
