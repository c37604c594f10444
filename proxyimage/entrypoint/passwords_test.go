package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// What stands under the name already, a link for one, is not written through.
func TestWriteNewWritesNothingThatIsThere(t *testing.T) {
	dir := t.TempDir()
	elsewhere, link := filepath.Join(dir, "elsewhere"), filepath.Join(dir, "link")
	if err := os.WriteFile(elsewhere, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{elsewhere, link} {
		if err := writeNew(path, []byte("secret")); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: error %v", path, err)
		}
	}
	if content, err := os.ReadFile(elsewhere); err != nil || string(content) != "kept" {
		t.Errorf("%q, %v", content, err)
	}
}
