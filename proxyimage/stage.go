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

// Modes of the staged files. They are part of the image, so they do not depend on the umask.
const (
	modeDirectory  fs.FileMode = 0o755
	modeFile       fs.FileMode = 0o644
	modeExecutable fs.FileMode = 0o755
	modeSecret     fs.FileMode = 0o600
)

// Stage writes the build context of the fleet's image to dir, which must not exist:
//
//	Dockerfile, collect.sh  how the image is built
//	entrypoint              static program for p.Architecture
//	squid.conf, errors/     Squid's configuration
//	localtime               TZif file of p.Timezone, from Go's own database
//	passwords               with credentials=image only: Digest hashes, no password
//
// passwords are those that [Passwords] returns. The same arguments and Go toolchain give the same
// bytes and modes on any machine. After an error, or if ctx is cancelled, nothing is left behind.
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
	for _, directory := range []string{work, staged} {
		if err := makeDirectory(directory); err != nil {
			return err
		}
	}

	golang, err := newToolchain(p.Architecture, work)
	if err != nil {
		return err
	}
	database, err := golang.zoneinfo(ctx)
	if err != nil {
		return err
	}
	zone, err := readZone(database, p.Timezone)
	if err != nil {
		return err
	}
	files = append(files, file{container.Localtime, zone, modeFile})
	if err := write(staged, files); err != nil {
		return err
	}
	entrypoint := filepath.Join(staged, container.Entrypoint)
	if err := golang.buildEntrypoint(ctx, entrypoint); err != nil {
		return err
	}
	if err := os.Chmod(entrypoint, modeExecutable); err != nil {
		return err
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return os.Rename(staged, dir)
}

// file is one staged file; name is relative to the build context.
type file struct {
	name    string
	content []byte
	mode    fs.FileMode
}

// textFiles returns the files that need no tool. A mistake in the parameters is thus found before
// a tool runs.
func textFiles(p *params.Params, n Network, passwords []squid.Credential) ([]file, error) {
	configuration, err := Config(p, n).Render()
	if err != nil {
		return nil, fmt.Errorf("squid.conf: %w", err)
	}
	files := []file{
		{container.SquidConf, []byte(configuration), modeFile}, {"Dockerfile", dockerfile, modeFile},
		{"collect.sh", collect, modeFile},
	}
	for name, body := range squid.ErrorPages() {
		files = append(files, file{filepath.Join(container.ErrorDir, name), []byte(body), modeFile})
	}
	if err := sameUsers(p, passwords); err != nil {
		return nil, err
	}
	if p.Credentials == container.CredentialsImage {
		hashes, err := squid.PasswordFile(p.Digest, p.Realm, passwords)
		if err != nil {
			return nil, fmt.Errorf("password file: %w", err)
		}
		files = append(files, file{container.Passwords, hashes, modeSecret})
	}
	return files, nil
}

// sameUsers returns an error if the passwords are not those of the parameters' users, or not none
// with credentials=secretsmanager.
func sameUsers(p *params.Params, passwords []squid.Credential) error {
	users := p.Users
	if p.Credentials != container.CredentialsImage {
		users = nil
	}
	if len(passwords) != len(users) {
		return fmt.Errorf("passwords: %d given, credentials=%s and %d users need %d",
			len(passwords), p.Credentials, len(p.Users), len(users))
	}
	for i, credential := range passwords {
		if credential.User != users[i] {
			return fmt.Errorf("passwords[%d]: is user %q's, not %q's", i, credential.User, users[i])
		}
	}
	return nil
}

func write(directory string, files []file) error {
	for _, f := range files {
		path := filepath.Join(directory, f.name)
		if parent := filepath.Dir(path); parent != directory {
			if err := makeDirectory(parent); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
		}
		if err := os.WriteFile(path, f.content, modeSecret); err != nil {
			return err
		}
		if err := os.Chmod(path, f.mode); err != nil {
			return err
		}
	}
	return nil
}

func makeDirectory(path string) error {
	if err := os.Mkdir(path, modeDirectory); err != nil {
		return err
	}
	return os.Chmod(path, modeDirectory)
}
