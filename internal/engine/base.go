package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Limits of the ways to a base image.
const (
	pullTimeout = 2 * time.Minute
	// A base of our own is made anew after this time, since what it stands for is rebuilt about as often.
	cacheLife = 30 * 24 * time.Hour
)

// basePackages is what a base of our own has beside the essential packages, like the image it stands for.
const basePackages = "ca-certificates"

var from = regexp.MustCompile(`(?m)^FROM\s+(\S+/debian:([a-z]+)\S*)`)

// BaseOf returns the Debian base image that a Dockerfile begins with.
func BaseOf(dockerfile string) (image string, err error) {
	content, err := os.ReadFile(dockerfile)
	if err != nil {
		return "", err
	}
	match := from.FindSubmatch(content)
	if match == nil {
		return "", noBase(dockerfile)
	}
	return string(match[1]), nil
}

func noBase(dockerfile string) error {
	return fmt.Errorf("%s: no line \"FROM REGISTRY/debian:SUITE...\"", dockerfile)
}

// PrepareBase puts a Debian base image into the store and returns its name there, which Build takes: pulled under the name given, or, where no registry gives it, made with debootstrap from the Debian
// mirror in apt's configuration. A digest says what bytes a registry has, so the name of one that was made is without it. One that was made is kept in the user's cache directory. A registry that says
// that there is no such image is an error, or a wrong pin would only be noticed by whoever deploys.
func (e *Engine) PrepareBase(ctx context.Context, image string) (name string, err error) {
	match := from.FindStringSubmatch("FROM " + image)
	if match == nil {
		return "", fmt.Errorf("base image %q: is not REGISTRY/debian:SUITE...", image)
	}
	suite := match[2]
	pull, cancel := context.WithTimeout(ctx, pullTimeout)
	defer cancel()
	_, pullErr := e.Run(pull, "pull", "--quiet", image)
	if pullErr == nil {
		return image, nil
	}
	if ctx.Err() != nil || notThere(pullErr) {
		return "", fmt.Errorf("base image %q: %w", image, pullErr)
	}
	name, _, _ = strings.Cut(image, "@")
	cache, err := cachedBase(suite)
	if err != nil {
		return "", err
	}
	if info, err := os.Stat(cache); err != nil || time.Since(info.ModTime()) >= cacheLife {
		if err := makeBase(ctx, suite, cache); err != nil {
			return "", errors.Join(pullErr, err)
		}
	}
	return name, e.importBase(ctx, cache, name)
}

// notThere tells a registry's answer that it has no such image from all other failures: of the network, of a proxy on the way, or a registry's own limit of pulls. A repository that is not there is
// refused like one that is not for everybody.
func notThere(err error) bool {
	var failed *Error
	if !errors.As(err, &failed) {
		return false
	}
	return slices.ContainsFunc([]string{"manifest unknown", "name unknown", "access to the resource is denied"}, func(answer string) bool {
		return strings.Contains(failed.Stderr, answer)
	})
}

func (e *Engine) importBase(ctx context.Context, archive, image string) error {
	_, err := e.Run(ctx, "import", archive, image)
	return err
}

// cachedBase is where a base of our own is kept.
func cachedBase(suite string) (string, error) {
	directory, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(directory, "squidfleet", "base-"+suite+"-"+basePackages+".tar"), nil
}

// makeBase bootstraps a Debian and packs it into an archive, which appears whole or not at all.
func makeBase(ctx context.Context, suite, archive string) (err error) {
	mirror, err := debianMirror(ctx, suite)
	if err != nil {
		return err
	}
	debootstrap, err := exec.LookPath("debootstrap")
	if err != nil {
		return fmt.Errorf("%w; `make setup` installs it on Debian and Ubuntu", err)
	}
	if err := os.MkdirAll(filepath.Dir(archive), 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(archive), ".base-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	root, draft := filepath.Join(work, "root"), filepath.Join(work, "base.tar")
	for _, command := range [][]string{
		{debootstrap, "--variant=minbase", "--include=" + basePackages, suite, root, mirror},
		{"tar", "--create", "--numeric-owner", "--directory=" + root, "--exclude=./var/cache/apt/archives/*.deb", "--exclude=./var/lib/apt/lists/*", "--file=" + draft, "."},
	} {
		if output, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, output)
		}
	}
	return os.Rename(draft, archive)
}

// debianMirror finds the first of the sites that apt is configured with that has the suite.
func debianMirror(ctx context.Context, suite string) (string, error) {
	output, err := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages").Output()
	if err != nil {
		return "", fmt.Errorf("the sites in apt's configuration: %w", err)
	}
	client := http.Client{Timeout: 30 * time.Second}
	var errs []error
	asked := map[string]bool{}
	for site := range strings.FieldsSeq(string(output)) {
		site = strings.TrimSuffix(site, "/")
		if asked[site] {
			continue
		}
		asked[site] = true
		request, err := http.NewRequestWithContext(ctx, http.MethodHead, site+"/dists/"+suite+"/InRelease", nil)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		response, err := client.Do(request)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		response.Body.Close()
		if response.StatusCode == http.StatusOK {
			return site, nil
		}
		errs = append(errs, fmt.Errorf("%s: %s", request.URL, response.Status))
	}
	return "", fmt.Errorf("none of the sites in apt's configuration has Debian %s: %w", suite, errors.Join(append(errs, fs.ErrNotExist)...))
}
