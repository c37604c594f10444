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

const (
	pullTimeout = 2 * time.Minute
	// cacheLife is that of a base of our own: the image it stands for is rebuilt about as often.
	cacheLife = 30 * 24 * time.Hour
	// basePackages is what a base of our own has beside the essential packages, like the real image.
	basePackages = "ca-certificates"
)

var debian = regexp.MustCompile(`^\S+/debian:([a-z]+)\S*$`)

// PrepareBase puts a Debian base image into the store and returns its name there, for Build. It
// pulls the image; where no registry can be reached it makes one with debootstrap, from the site
// in apt's configuration, and keeps it in the user's cache directory. Such a name has no digest,
// which is the registry's to give. It returns an error if a registry says that there is no such
// image: otherwise a wrong pin would fail only at a deployment.
func (e *Engine) PrepareBase(ctx context.Context, image string) (name string, err error) {
	match := debian.FindStringSubmatch(image)
	if match == nil {
		return "", fmt.Errorf("base image %q: is not REGISTRY/debian:SUITE...", image)
	}
	suite := match[1]
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
	_, err = e.Run(ctx, "import", cache, name)
	return name, err
}

// notThere reports whether a registry answered that it has no such image, and not the network, a
// proxy or a limit of pulls. A missing repository is refused like one that is not public.
func notThere(err error) bool {
	answers := []string{"manifest unknown", "name unknown", "access to the resource is denied"}
	return slices.ContainsFunc(answers, func(answer string) bool { return strings.Contains(err.Error(), answer) })
}

// cachedBase returns where a base of our own is kept.
func cachedBase(suite string) (string, error) {
	directory, err := os.UserCacheDir()
	return filepath.Join(directory, "squidfleet", "base-"+suite+"-"+basePackages+".tar"), err
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
		{"tar", "--create", "--numeric-owner", "--directory=" + root, "--exclude=./var/cache/apt/archives/*.deb",
			"--exclude=./var/lib/apt/lists/*", "--file=" + draft, "."},
	} {
		if output, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, output)
		}
	}
	return os.Rename(draft, archive)
}

// debianMirror returns the first of apt's sites that has the suite.
func debianMirror(ctx context.Context, suite string) (string, error) {
	apt := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages")
	output, err := apt.Output()
	if err != nil {
		return "", fmt.Errorf("the sites in apt's configuration: %w", err)
	}
	client := http.Client{Timeout: 30 * time.Second}
	errs := []error{fs.ErrNotExist}
	for site := range strings.FieldsSeq(string(output)) {
		site = strings.TrimSuffix(site, "/")
		release := site + "/dists/" + suite + "/InRelease"
		response, err := client.Head(release)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		response.Body.Close()
		if response.StatusCode == http.StatusOK {
			return site, nil
		}
		errs = append(errs, fmt.Errorf("%s: %s", release, response.Status))
	}
	return "", fmt.Errorf("none of the sites in apt's configuration has Debian %s: %w", suite, errors.Join(errs...))
}
