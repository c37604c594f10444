package scripts

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"squidfleet/internal/must"
	"squidfleet/internal/ptytest"
)

func TestCompileSaysHowFarItIs(t *testing.T) {
	for _, c := range []struct {
		goDoes     string // a shell command in place of go
		file, tty  string
		exitStatus int
	}{
		{"exit 0", "", "", 0},
		{
			"printf 'go: downloading example.com/m v1.0.0\\nunicode/utf8\\nexample.com/m/v2\\n' >&2",
			"compiling the app; the first time takes a minute\n",
			"\rcompiling the app: 0 packages \rcompiling the app: 1 packages \rcompiling the app: 2 packages \n",
			0,
		},
		{"echo './a.go:1:2: undefined: x' >&2; exit 3", "./a.go:1:2: undefined: x\n", "./a.go:1:2: undefined: x\n", 3},
	} {
		bin := t.TempDir()
		must.OK(t, os.WriteFile(filepath.Join(bin, "go"), []byte("#!/bin/sh\n"+c.goDoes+"\n"), 0o755))
		run := func(stderr io.Writer) {
			compile := exec.Command("./compile.sh", ".", "the app")
			compile.Env = []string{"PATH=" + bin + string(os.PathListSeparator) + os.Getenv("PATH")}
			compile.Stderr = stderr
			var exit *exec.ExitError
			if err := compile.Run(); err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			if got := compile.ProcessState.ExitCode(); got != c.exitStatus {
				t.Errorf("%s: exit status %d, want %d", c.goDoes, got, c.exitStatus)
			}
		}
		var file bytes.Buffer
		run(&file)
		if file.String() != c.file {
			t.Errorf("%s: wrote %q, want %q", c.goDoes, &file, c.file)
		}
		master, slave := ptytest.Open(t)
		run(slave)
		// The line shows that the output ends here, also if there is none.
		fmt.Fprintln(slave, "end")
		if got := until(t, master, "end\r\n"); got != strings.ReplaceAll(c.tty, "\n", "\r\n") {
			t.Errorf("%s: a terminal shows %q, want %q", c.goDoes, got, c.tty)
		}
	}
}

func until(t *testing.T, from io.Reader, end string) string {
	t.Helper()
	var all []byte
	for buffer := make([]byte, 256); !bytes.HasSuffix(all, []byte(end)); {
		n, err := from.Read(buffer)
		must.OK(t, err)
		all = append(all, buffer[:n]...)
	}
	return strings.TrimSuffix(string(all), end)
}
