// Package standin is a registry on loopback that holds base images without layers.
package standin

import (
	"context"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// Registry is a running registry. Like Docker Hub it wants a token, which it gives to everybody.
type Registry struct {
	*httptest.Server
	// Repository is where Push puts images: REGISTRY/library/debian.
	Repository string

	mu    sync.Mutex
	asked []string
}

// New starts a registry.
func New() *Registry {
	const token = "anonymous"
	r := &Registry{}
	images := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, hr *http.Request) {
		r.mu.Lock()
		r.asked = append(r.asked, hr.Method+" "+path.Base(hr.URL.Path))
		r.mu.Unlock()
		switch {
		case hr.URL.Path == "/token" && hr.Header.Get("Authorization") == "":
			json.NewEncoder(w).Encode(map[string]string{"token": token})
		case hr.Header.Get("Authorization") != "Bearer "+token:
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+r.URL+`/token",service="standin"`)
			w.WriteHeader(http.StatusUnauthorized)
		default:
			images.ServeHTTP(w, hr)
		}
	}))
	r.Repository = strings.TrimPrefix(r.URL, "http://") + "/library/debian"
	return r
}

// Asked returns the requests since it was called last: method, and token, tag or digest.
func (r *Registry) Asked() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	asked := r.asked
	r.asked = nil
	return asked
}

// Push makes a tag lead to an image for Linux, made at a time, for some architectures. It returns
// the digest of its index.
func (r *Registry) Push(ctx context.Context, tag string, made time.Time, architectures ...string) (string, error) {
	to, err := remote.NewRepository(r.Repository)
	if err != nil {
		return "", err
	}
	to.PlainHTTP, to.Client = true, &auth.Client{Client: r.Client(), Cache: auth.NewCache()}
	push := func(into content.Pusher, mediaType string, value any) (ocispec.Descriptor, error) {
		text, err := json.Marshal(value)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		return oras.PushBytes(ctx, into, mediaType, text)
	}
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	for _, architecture := range architectures {
		platform := ocispec.Platform{OS: "linux", Architecture: architecture}
		config, err := push(to.Blobs(), ocispec.MediaTypeImageConfig, ocispec.Image{Created: &made, Platform: platform})
		if err != nil {
			return "", err
		}
		manifest, err := push(to.Manifests(), ocispec.MediaTypeImageManifest, ocispec.Manifest{
			Versioned: index.Versioned, MediaType: ocispec.MediaTypeImageManifest, Config: config,
			Layers: []ocispec.Descriptor{},
		})
		if err != nil {
			return "", err
		}
		manifest.Platform = &platform
		index.Manifests = append(index.Manifests, manifest)
	}
	last, err := push(to.Manifests(), ocispec.MediaTypeImageIndex, index)
	if err != nil {
		return "", err
	}
	return last.Digest.String(), to.Tag(ctx, last, tag)
}
