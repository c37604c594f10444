// Package proxyimage stages the build context of the tasks' container image, and declares the
// container's environment. Package proxyimage/entrypoint is the image's first process. Package
// proxyimage/container holds what image and task definition have to agree on.
package proxyimage

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"squidfleet/params"
	"squidfleet/proxyimage/container"
	"squidfleet/squid"
)

// These say how the image is built, and are the same for every fleet.
var (
	//go:embed Dockerfile
	dockerfile []byte
	//go:embed collect.sh
	collect []byte
)

var from = regexp.MustCompile(`(?m)^FROM\s+(\S+)`)

// Base returns the name of the image that the fleet's image is built from.
func Base() string { return string(from.FindSubmatch(dockerfile)[1]) }

// Stage writes the build context of the fleet's image to dir, which must not exist:
//
//	Dockerfile, collect.sh  how the image is built
//	entrypoint              static program for p.Architecture
//	squid.conf, errors/     Squid's configuration
//	localtime               TZif file of p.Timezone, from Go's own database
//	passwords               with credentials=image only: Digest hashes, no password
//
// passwords are those that [Passwords] returns. The same arguments and Go toolchain give the same
// bytes on any machine; collect.sh sets the modes in the image. After an error, or if ctx is
// cancelled, nothing is left behind.
// Stage needs the go command and a current directory inside this module.
func Stage(ctx context.Context, dir string, p *params.Params, n Network, passwords []squid.Credential) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("stage the image: %w", err)
		}
	}()
	files, err := textFiles(p, n, passwords)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = fmt.Errorf("%s is already there; remove it or choose another directory", dir)
		}
		return err
	}

	// A sibling is on the same file system and can be renamed.
	draft, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+"-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(draft)) }()
	work, staged := filepath.Join(draft, "work"), filepath.Join(draft, "context")
	err = errors.Join(os.Mkdir(work, 0o755), os.MkdirAll(filepath.Join(staged, container.ErrorDir), 0o755))
	if err != nil {
		return err
	}
	golang, err := newToolchain(p.Architecture, work)
	if err != nil {
		return err
	}
	if files[container.Localtime], err = golang.zone(ctx, p.Timezone); err != nil {
		return err
	}
	for name, content := range files {
		mode := fs.FileMode(0o644)
		if name == container.Passwords {
			mode = 0o600
		}
		if err := os.WriteFile(filepath.Join(staged, name), content, mode); err != nil {
			return err
		}
	}
	if err := golang.buildEntrypoint(ctx, filepath.Join(staged, container.Entrypoint)); err != nil {
		return err
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return os.Rename(staged, dir)
}

// textFiles returns the files that need no tool, by their names in the build context. A mistake in
// the parameters is thus found before a tool runs.
func textFiles(p *params.Params, n Network, passwords []squid.Credential) (map[string][]byte, error) {
	configuration, err := Config(p, n).Render()
	if err != nil {
		return nil, fmt.Errorf("squid.conf: %w", err)
	}
	files := map[string][]byte{
		container.SquidConf: []byte(configuration), "Dockerfile": dockerfile, "collect.sh": collect,
	}
	for name, body := range squid.ErrorPages() {
		files[filepath.Join(container.ErrorDir, name)] = []byte(body)
	}
	if p.Credentials == container.CredentialsImage {
		hashes, err := squid.PasswordFile(p.Digest, p.Realm, passwords)
		if err != nil {
			return nil, fmt.Errorf("password file: %w", err)
		}
		files[container.Passwords] = hashes
	}
	return files, nil
}
