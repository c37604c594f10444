package engine

import (
	"archive/tar"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
)

// newEngine is one with an empty store, beside a base image in the cache that holds a single file.
func newEngine(t *testing.T, registry string) *Engine {
	t.Helper()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	cache, err := cachedBase("trixie")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Dir(cache), 0o755); err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(cache)
	if err != nil {
		t.Fatal(err)
	}
	archive := tar.NewWriter(file)
	if err := archive.WriteHeader(&tar.Header{Name: "made-here", Mode: 0o644}); err != nil {
		t.Fatal(err)
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	// Not below TMPDIR, which may be a file system in memory that cannot hold an overlay.
	store, err := os.MkdirTemp("/var/tmp", "squidfleet-engine-")
	if err != nil {
		t.Fatal(err)
	}
	e, err := New(store)
	if err != nil {
		os.RemoveAll(store)
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	registries := filepath.Join(store, "registries.conf")
	if err := os.WriteFile(registries, fmt.Appendf(nil, "[[registry]]\nlocation = %q\ninsecure = true\n", registry), 0o600); err != nil {
		t.Fatal(err)
	}
	e.variables = append(e.variables, "CONTAINERS_REGISTRIES_CONF="+registries)
	return e
}

const digest = "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestBaseIsMadeWhereNoRegistryGivesIt(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	registry := listener.Addr().String()
	listener.Close()
	e := newEngine(t, registry)
	for _, pin := range []string{"", digest} {
		image := registry + "/library/debian:trixie-20260918-slim" + pin
		context := t.TempDir()
		dockerfile := filepath.Join(context, "Dockerfile")
		if err := os.WriteFile(dockerfile, []byte("FROM "+image+" AS build\nFROM scratch\nCOPY --from=build /made-here /\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if base, err := BaseOf(dockerfile); err != nil || base != image {
			t.Fatalf("%s, %v; want %s", base, err, image)
		}
		name, err := e.PrepareBase(t.Context(), image)
		if err != nil {
			t.Fatal(err)
		}
		if want := strings.TrimSuffix(image, digest); name != want {
			t.Errorf("prepared %s, want %s", name, want)
		}
		if err := e.Build(t.Context(), context, name, "localhost/built"); err != nil {
			t.Error(err)
		}
	}
}

// What a registry gives is what the image is built from, without asking again: a registry that is away between the two has the next build fail, and one that has something new has it differ.
func TestBaseIsPulledByItsDigest(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "http://")
	e := newEngine(t, address)
	tagged := address + "/library/debian:trixie-20260918-slim"
	cache, err := cachedBase("trixie")
	if err != nil {
		t.Fatal(err)
	}
	for _, arguments := range [][]string{{"import", cache, tagged}, append(append([]string{"push"}, e.plainHTTP...), tagged), {"rmi", tagged}} {
		if _, err := e.Run(t.Context(), arguments...); err != nil {
			t.Fatal(err)
		}
	}
	response, err := http.Head(server.URL + "/v2/library/debian/manifests/trixie-20260918-slim")
	if err != nil {
		t.Fatal(err)
	}
	image := tagged + "@" + response.Header.Get("Docker-Content-Digest")
	name, err := e.PrepareBase(t.Context(), image)
	if err != nil || name != image {
		t.Fatalf("%s, %v; want %s", name, err, image)
	}
	server.Close()
	context := t.TempDir()
	if err := os.WriteFile(filepath.Join(context, "Dockerfile"), []byte("FROM "+image+" AS build\nFROM scratch\nCOPY --from=build /made-here /\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := e.Build(t.Context(), context, name, "localhost/built"); err != nil {
		t.Error(err)
	}
}

func TestAnswersOfARegistry(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		code   string
		want   string // part of the error; "" is a base made here
	}{
		// Otherwise a tag that does not exist would be noticed by those alone who deploy.
		{"no such tag", http.StatusNotFound, "MANIFEST_UNKNOWN", "manifest unknown"},
		{"no such repository", http.StatusUnauthorized, "DENIED", "access to the resource is denied"},
		{"refused on the way", http.StatusForbidden, "FORBIDDEN", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/v2/" {
					return
				}
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(c.status)
				fmt.Fprintf(w, `{"errors":[{"code":%q,"message":%q}]}`, c.code, c.want)
			}))
			defer registry.Close()
			address := strings.TrimPrefix(registry.URL, "http://")
			image := address + "/library/debian:trixie-20260230-slim"
			name, err := newEngine(t, address).PrepareBase(t.Context(), image)
			if c.want == "" {
				if err != nil || name != image {
					t.Errorf("%s, %v; want one made here", name, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}
