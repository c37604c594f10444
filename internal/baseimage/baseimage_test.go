package baseimage_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"squidfleet/internal/baseimage"
	"squidfleet/internal/baseimage/standin"
)

const (
	pinned = "trixie-20260918-slim"
	moving = "trixie-slim"
)

var (
	september = time.Date(2026, 9, 18, 0, 0, 0, 0, time.UTC)
	october   = time.Date(2026, 10, 16, 0, 0, 0, 0, time.UTC)
	both      = []string{"amd64", "arm64"}

	errPatience = errors.New("patience is over")
)

func newRegistry(t *testing.T) *standin.Registry {
	r := standin.New()
	t.Cleanup(r.Close)
	return r
}

func push(t *testing.T, r *standin.Registry, tag string, made time.Time, architectures ...string) (digest string) {
	t.Helper()
	digest, err := r.Push(t.Context(), tag, made, architectures...)
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

func TestTheTagWithoutItsDateLeadsToNewerVersions(t *testing.T) {
	r := newRegistry(t)
	digest := push(t, r, pinned, september, both...)
	for _, c := range []struct {
		name          string
		made          time.Time // what the tag leads to
		architectures []string
		newer         bool
	}{
		{"the same", september, both, false},
		{"a newer one", october, both, true},
		{"an older one", september.AddDate(0, -1, 0), both, false},
		{"the same in another index", september, append(both, "riscv64"), false},
	} {
		push(t, r, moving, c.made, c.architectures...)
		for _, name := range []string{pinned, pinned + "@" + digest, moving + "@" + digest} {
			name = r.Repository + ":" + name
			got, err := baseimage.Look(t.Context(), name, "arm64")
			if err != nil {
				t.Errorf("%s, %s: %v", name, c.name, err)
				continue
			}
			newer := got.Newer != nil
			if got.Name != name || got.Tag != r.Repository+":"+moving || newer != c.newer ||
				newer && !got.Newer.Equal(c.made) {
				t.Errorf("%s, %s: %+v", name, c.name, got)
			}
		}
	}
}

// Docker Hub limits GETs of manifests.
func TestTheSameBaseIsNotPulled(t *testing.T) {
	r := newRegistry(t)
	push(t, r, pinned, september, both...)
	push(t, r, moving, september, both...)
	r.Asked()
	if _, err := baseimage.Look(t.Context(), r.Repository+":"+pinned, "amd64"); err != nil {
		t.Fatal(err)
	}
	want := []string{"HEAD " + pinned, "GET token", "HEAD " + pinned, "HEAD " + moving}
	if got := r.Asked(); !slices.Equal(got, want) {
		t.Errorf("asked were %v, want %v", got, want)
	}
}

func TestWhatCannotBeSaid(t *testing.T) {
	r := newRegistry(t)
	push(t, r, pinned, september, both...)
	push(t, r, moving, october, "arm64")
	push(t, r, "bookworm-20260918", september, both...)
	// A registry of its own for each name: what it answers.
	answers := map[string]http.HandlerFunc{
		"hangs": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"limits": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusTooManyRequests)
		},
		"garbage": func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>Welcome\n")) },
		"lies": func(w http.ResponseWriter, r *http.Request) {
			digest := path.Base(r.URL.Path)
			if !strings.HasPrefix(digest, "sha256:") {
				digest = "sha256:" + strings.Repeat(string("01"[len(digest)%2]), 64)
			}
			w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
			w.Header().Set("Docker-Content-Digest", digest)
			w.Write([]byte("{}"))
		},
	}
	for _, c := range []struct{ name, answers, want string }{
		{r.Repository + ":" + pinned, "", "for amd64: "},
		{r.Repository + ":bookworm-20260918", "", ":bookworm: "},
		{r.Repository + ":sid-20260918", "", ":sid-20260918: "},
		{r.Repository + ":" + moving, "", "neither a date nor a digest"},
		{r.Repository + "@sha256:" + strings.Repeat("0", 64), "", "neither a date nor a digest"},
		{"debian:" + pinned, "", "invalid reference"},
		{pinned, "hangs", "patience is over"},
		{pinned, "limits", "Too Many Requests"},
		{pinned, "garbage", "missing required header"},
		{pinned, "lies", "mismatch"},
	} {
		ctx := t.Context()
		if c.answers != "" {
			server := httptest.NewServer(answers[c.answers])
			defer server.Close()
			c.name = strings.TrimPrefix(server.URL, "http://") + "/debian:" + c.name
		}
		if c.answers == "hangs" {
			var cancel func()
			ctx, cancel = context.WithTimeoutCause(ctx, 100*time.Millisecond, errPatience)
			defer cancel()
		}
		_, err := baseimage.Look(ctx, c.name, "amd64")
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: %v, want %q", c.name, c.answers, err, c.want)
		}
	}
}
