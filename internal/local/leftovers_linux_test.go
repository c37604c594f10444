package local

import (
	"os"
	"path/filepath"
	"testing"

	"squidfleet/internal/must"
)

// A start removes what a killed fleet left. Files in use, or another user's, or others, stay.
func TestLeftoversAreSweptAway(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	sharedMemory = t.TempDir()
	defer func() { sharedMemory = "/dev/shm" }()
	left, lock, err := makeDir()
	must.OK(t, err)
	lock.Close() // as when its program ends
	used, lock, err := makeDir()
	must.OK(t, err)
	defer lock.Close()
	var others []string
	for _, name := range []string{"squidfleet-local-notes", "squidfleet-local-1*", "other-1"} {
		others = append(others, filepath.Join(os.TempDir(), name))
		must.OK(t, os.Mkdir(others[len(others)-1], 0o700))
	}
	segment := func(of string) string { return filepath.Join(sharedMemory, squidPrefix(of)+"12-cf__metadata.shm") }
	foreign := filepath.Join(sharedMemory, "squid-cf__metadata.shm")
	for _, path := range []string{
		filepath.Join(left, "passwords"), filepath.Join(used, "passwords"), segment(left), segment(used), foreign,
	} {
		must.OK(t, os.WriteFile(path, nil, 0o600))
	}
	exists := func(path string) bool { _, err := os.Lstat(path); return err == nil }

	sweep(os.Getuid() + 1)
	if !exists(left) || !exists(segment(left)) {
		t.Error("another user's files were removed")
	}
	sweep(os.Getuid())
	if exists(left) || exists(segment(left)) {
		t.Error("it is still there")
	}
	for _, path := range append(others, used, segment(used), foreign) {
		if !exists(path) {
			t.Errorf("%s was removed", path)
		}
	}
}
