package proxyimage

import (
	"archive/zip"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"squidfleet/internal/must"
)

func TestADamagedTimeZoneDatabaseIsToldByName(t *testing.T) {
	const zone, data = "Asia/Tokyo", "TZif of Tokyo"
	var archive bytes.Buffer
	w := zip.NewWriter(&archive)
	file, err := w.CreateHeader(&zip.FileHeader{Name: zone, Method: zip.Store})
	must.OK(t, err)
	_, err = file.Write([]byte(data))
	must.OK(t, err)
	must.OK(t, w.Close())
	for _, c := range []struct {
		name     string
		database []byte
		want     string
	}{
		{"whole", archive.Bytes(), ""},
		{"flipped bit", bytes.Replace(archive.Bytes(), []byte(data), []byte("TZif of Kyoto"), 1),
			"zoneinfo.zip: zip: checksum error; reinstall Go"},
		{"cut short", archive.Bytes()[:archive.Len()/2], "zip: not a valid zip file; reinstall Go"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "zoneinfo.zip")
			must.OK(t, os.WriteFile(path, c.database, 0o644))
			got, err := readZone(path, zone)
			if c.want == "" {
				if err != nil || string(got) != data {
					t.Errorf("%q, %v", got, err)
				}
				return
			}
			if err == nil || got != nil || !strings.HasPrefix(err.Error(),
				"Go's time zone database: ") || !strings.HasSuffix(err.Error(), c.want) {
				t.Errorf("%q, error %v, want …%s", got, err, c.want)
			}
		})
	}
}
