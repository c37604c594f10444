package proxyimage

import (
	"archive/zip"
	"errors"
	"fmt"
	"io/fs"
)

// readZone returns the TZif file of an IANA zone from a database in a zip file.
func readZone(database, zone string) ([]byte, error) {
	archive, err := zip.OpenReader(database)
	if err != nil {
		return nil, fmt.Errorf("Go's time zone database: %w; reinstall Go", err)
	}
	defer archive.Close()
	content, err := fs.ReadFile(archive, zone)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("timezone: %q is not in %s", zone, database)
	}
	if err != nil {
		return nil, fmt.Errorf("Go's time zone database: %s: %w; reinstall Go", database, err)
	}
	return content, nil
}
