package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"squidfleet/proxyimage/container"
	"squidfleet/squid"
)

// writeSecrets writes the Digest password file and the nonces' keys, if the settings hold them.
// Only this user can read the files. A reader sees the old file, none, or the whole new one.
func writeSecrets(s settings) error {
	write := func(what, name string, content []byte) error {
		if err := replaceFile(filepath.Join(s.dir, name), content); err != nil {
			return fmt.Errorf("%s: %w; %s must be a directory that user %d can write to",
				what, err, filepath.Join(s.dir, container.Run), os.Getuid())
		}
		return nil
	}
	if s.writePasswords {
		content, err := squid.PasswordFile(s.digest, s.realm, s.credentials)
		if err != nil {
			return fmt.Errorf("password file: %w", err)
		}
		if err := write("password file", container.RunPasswords, content); err != nil {
			return err
		}
	}
	if s.keys != "" {
		return write("keys", container.RunKeys, []byte(s.keys))
	}
	return nil
}

// replaceFile writes target atomically, with mode 0600.
func replaceFile(target string, content []byte) error {
	draft := target + ".new"
	// The name is fixed, so that drafts of interrupted starts do not pile up. What has it, perhaps a
	// link or with another mode, is not written to.
	if err := os.Remove(draft); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err := os.WriteFile(draft, content, 0o600)
	if err == nil {
		err = os.Rename(draft, target)
	}
	if err != nil {
		os.Remove(draft)
	}
	return err
}
