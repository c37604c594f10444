package engine

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"squidfleet/internal/must"
)

// newEngine has an empty store, and in the cache a base image that holds a single file.
func newEngine(t *testing.T, registry string) *Engine {
	t.Helper()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	must.OK(t, errors.Join(w.WriteHeader(&tar.Header{Name: "made-here", Mode: 0o644}), w.Close()))
	cache, err := cachedBase("trixie")
	err = errors.Join(err, os.Mkdir(filepath.Dir(cache), 0o755), os.WriteFile(cache, archive.Bytes(), 0o600))
	must.OK(t, err)
	// Not below TMPDIR, which may be a file system in memory that cannot hold an overlay.
	store, err := os.MkdirTemp("/var/tmp", "squidfleet-engine-")
	must.OK(t, err)
	t.Cleanup(func() { os.RemoveAll(store) })
	e, err := New(store)
	must.OK(t, err)
	t.Cleanup(func() { must.OK(t, e.Close()) })
	registries := filepath.Join(store, "registries.conf")
	insecure := fmt.Appendf(nil, "[[registry]]\nlocation = %q\ninsecure = true\n", registry)
	must.OK(t, os.WriteFile(registries, insecure, 0o600))
	e.variables = append(e.variables, "CONTAINERS_REGISTRIES_CONF="+registries)
	return e
}

const pin = "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// build builds an image that needs the base's single file.
func (e *Engine) build(t *testing.T, recipe, base string) {
	t.Helper()
	directory := t.TempDir()
	dockerfile := filepath.Join(directory, "Dockerfile")
	text := "FROM " + recipe + " AS build\nFROM scratch\nCOPY --from=build /made-here /\n"
	err := os.WriteFile(dockerfile, []byte(text), 0o600)
	if err = errors.Join(err, e.Build(t.Context(), directory, base, "localhost/built")); err != nil {
		t.Error(err)
	}
}

// A missing tag must fail here: otherwise it fails only at a deployment.
func TestBaseIsMadeWhereNoRegistryGivesIt(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		code   string
		answer string // also in the error, unless a base is made here
		made   bool
	}{
		{"no such tag", 404, "MANIFEST_UNKNOWN", "manifest unknown", false},
		{"no such repository", 401, "DENIED", "access to the resource is denied", false},
		{"refused on the way", 403, "FORBIDDEN", "forbidden", true},
		{"no registry", 0, "", "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/v2/" {
					w.Header().Set("Content-Type", "application/json")
					w.WriteHeader(c.status)
					fmt.Fprintf(w, `{"errors":[{"code":%q,"message":%q}]}`, c.code, c.answer)
				}
			}))
			defer registry.Close()
			if c.status == 0 {
				registry.Close()
			}
			address := strings.TrimPrefix(registry.URL, "http://")
			e, image := newEngine(t, address), address+"/library/debian:trixie-20260918-slim"
			name, err := e.PrepareBase(t.Context(), image+pin)
			if !c.made {
				if err == nil || !strings.Contains(err.Error(), c.answer) {
					t.Errorf("error %v, want %q", err, c.answer)
				}
				return
			}
			if err != nil || name != image {
				t.Fatalf("%s, %v; want %s", name, err, image)
			}
			e.build(t, image+pin, name)
		})
	}
}
