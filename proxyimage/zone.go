package proxyimage

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// readZone returns the TZif file of an IANA zone from a database in a zip file.
func readZone(database, zone string) ([]byte, error) {
	archive, err := zip.OpenReader(database)
	if err != nil {
		return nil, fmt.Errorf("Go's time zone database: %w", err)
	}
	defer archive.Close()
	file, err := archive.Open(zone)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("timezone: %q is not in %s", zone, database)
	}
	if err != nil {
		return nil, fmt.Errorf("timezone: %s: %w", database, err)
	}
	defer file.Close()
	content, err := io.ReadAll(file)
	if err != nil {
		return nil, fmt.Errorf("timezone: %q in %s: %w", zone, database, err)
	}
	return content, nil
}
