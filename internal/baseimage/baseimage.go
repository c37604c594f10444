// Package baseimage asks a registry whether the image that others are built from has a newer
// version.
package baseimage

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// Base is the image that a fleet's image is built from. The names of its JSON are stable.
type Base struct {
	Name string `json:"name"`
	// Tag leads to the newest version.
	Tag string `json:"tag"`
	// Newer is when that version was made if it is newer than Name, else null.
	Newer *time.Time `json:"newer"`
}

// date is the part of a tag that stays with one version: trixie-20260918-slim.
var date = regexp.MustCompile(`-\d{8}\b`)

// Look asks the base's registry, without credentials, for the version that the base's tag without
// its date leads to. The name has the form REGISTRY/REPOSITORY:TAG, with a date in the tag or
// with @DIGEST behind it. Versions are compared for Linux on one architecture, amd64 or arm64: an
// index may change for the others alone.
func Look(ctx context.Context, name, architecture string) (*Base, error) {
	tagged, pinned, digested := strings.Cut(name, "@")
	at, err := registry.ParseReference(tagged)
	if err != nil {
		return nil, fmt.Errorf("base %q: %w", name, err)
	}
	tag := date.ReplaceAllString(at.Reference, "")
	if !digested {
		pinned = at.Reference
	}
	if tag == "" || tag == pinned {
		return nil, fmt.Errorf("base %q: has neither a date nor a digest, so its version is not known", name)
	}
	from := at.Registry + "/" + at.Repository
	repository, err := remote.NewRepository(from)
	if err != nil {
		return nil, err
	}
	// Container engines do the same with a registry on their own machine.
	address, err := netip.ParseAddrPort(at.Registry)
	repository.PlainHTTP = err == nil && address.Addr().IsLoopback()
	// Without oras's retries, which take longer than a caller waits.
	repository.Client = &auth.Client{Client: http.DefaultClient, Cache: auth.NewCache()}

	base := &Base{Name: name, Tag: from + ":" + tag}
	// These two requests are mostly all. They do not count as pulls, which Docker Hub limits
	// (https://docs.docker.com/docker-hub/usage/pulls/).
	old, err := repository.Resolve(ctx, pinned)
	if err != nil {
		return nil, err
	}
	newest, err := repository.Resolve(ctx, tag)
	if err != nil {
		return nil, err
	}
	if newest.Digest == old.Digest {
		return base, nil
	}
	oldImage, oldMade, err := image(ctx, repository, old.Digest, architecture)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	newImage, newMade, err := image(ctx, repository, newest.Digest, architecture)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", base.Tag, err)
	}
	if newImage != oldImage && !newMade.Before(oldMade) {
		base.Newer = &newMade
	}
	return base, nil
}

// image returns the digest of an image for Linux on one architecture, and when it was made.
func image(ctx context.Context, from *remote.Repository, index digest.Digest, architecture string) (
	digest.Digest, time.Time, error) {
	var of oras.FetchBytesOptions
	of.TargetPlatform = &ocispec.Platform{OS: "linux", Architecture: architecture}
	found, text, err := oras.FetchBytes(ctx, from, index.String(), of)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("for %s: %w", architecture, err)
	}
	var manifest ocispec.Manifest
	if err := json.Unmarshal(text, &manifest); err != nil {
		return "", time.Time{}, err
	}
	_, text, err = oras.FetchBytes(ctx, from.Blobs(), manifest.Config.Digest.String(), oras.FetchBytesOptions{})
	if err != nil {
		return "", time.Time{}, err
	}
	var config struct{ Created time.Time }
	err = json.Unmarshal(text, &config)
	return found.Digest, config.Created.UTC(), err
}
