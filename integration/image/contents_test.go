package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"debug/elf"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"

	"squidfleet/internal/must"
	"squidfleet/proxyimage/container"
)

// images are those saved so far, by mode.
var images = map[string]v1.Image{}

// save returns an image as an engine pushes it.
func save(t testing.TB, mode string) v1.Image {
	t.Helper()
	if image, done := images[mode]; done {
		return image
	}
	directory := filepath.Join(os.Getenv(storeVariable), "saved-"+mode)
	_, err := containers.Run(t.Context(), "save", "--format=oci-dir", "--output="+directory, tag(mode))
	must.OK(t, err)
	index, err := layout.ImageIndexFromPath(directory)
	must.OK(t, err)
	manifest, err := index.IndexManifest()
	if err != nil || len(manifest.Manifests) != 1 {
		t.Fatalf("%d images, %v", len(manifest.Manifests), err)
	}
	images[mode], err = index.Image(manifest.Manifests[0].Digest)
	must.OK(t, err)
	return images[mode]
}

// layers are an image's archives, the lowest first.
func layers(t testing.TB, image v1.Image) (archives [][]byte) {
	t.Helper()
	all, err := image.Layers()
	must.OK(t, err)
	for _, layer := range all {
		reader, err := layer.Uncompressed()
		must.OK(t, err)
		archive, err := io.ReadAll(reader)
		must.OK(t, errors.Join(err, reader.Close()))
		archives = append(archives, archive)
	}
	return archives
}

type imageFile struct {
	*tar.Header
	content []byte
}

func filesOf(t testing.TB, image v1.Image) map[string]imageFile {
	t.Helper()
	found := map[string]imageFile{}
	for _, archive := range layers(t, image) {
		entries := tar.NewReader(bytes.NewReader(archive))
		for header, err := entries.Next(); err != io.EOF; header, err = entries.Next() {
			must.OK(t, err)
			content, err := io.ReadAll(entries)
			must.OK(t, err)
			name := "/" + strings.Trim(header.Name, "/")
			if strings.HasPrefix(path.Base(name), ".wh.") {
				t.Errorf("%s: a layer removes what a lower one holds", name)
			}
			found[name] = imageFile{header, content}
		}
	}
	return found
}

// The image's limits in megabytes, as it is and as a registry keeps it.
const diskLimit, compressedLimit = 30, 12

// size is the megabytes of all layers, as they are and as a registry keeps them.
func size(t testing.TB, image v1.Image) (disk, compressed float64) {
	t.Helper()
	for _, archive := range layers(t, image) {
		var packed bytes.Buffer
		writer := gzip.NewWriter(&packed)
		_, err := writer.Write(archive)
		must.OK(t, errors.Join(err, writer.Close()))
		disk += float64(len(archive)) / megabyte
		compressed += float64(packed.Len()) / megabyte
	}
	return disk, compressed
}

const megabyte = 1_000_000

func TestImageSize(t *testing.T) {
	for _, mode := range []string{inSecrets, inImage} {
		disk, compressed := size(t, save(t, mode))
		t.Logf("%s: %.2f MB in layers, %.2f MB compressed", mode, disk, compressed)
		if disk > diskLimit || compressed > compressedLimit {
			t.Errorf("%s: more than %d MB, or %d MB compressed", mode, diskLimit, compressedLimit)
		}
	}
}

func TestImageHoldsOnlyWhatSquidNeeds(t *testing.T) {
	files := filesOf(t, save(t, inImage))
	modes := map[string]fs.FileMode{
		container.Dir + "/" + container.Passwords: 0o400,
		container.RunDir:         fs.ModeDir | 0o700,
		container.EntrypointPath: 0o711, // see collect.sh
	}
	var programs []string
	for name, file := range files {
		mode := file.FileInfo().Mode()
		if mode&(fs.ModeSetuid|fs.ModeSetgid) != 0 {
			t.Errorf("%s: %v", name, mode)
		}
		if file.Typeflag != tar.TypeSymlink && mode.Perm()&0o022 != 0 {
			t.Errorf("%s: %v is writable for others than its owner", name, mode)
		}
		owner := 0
		if name == container.Dir+"/"+container.Passwords || name == container.RunDir {
			owner = container.UID
		}
		if file.Uid != owner || file.Gid != owner {
			t.Errorf("%s belongs to %d:%d, want %d", name, file.Uid, file.Gid, owner)
		}
		// Modes do not depend on the umask of synth, which is 077 here.
		if want, special := modes[name]; special && mode != want {
			t.Errorf("%s has mode %v, want %v", name, mode, want)
		} else if !special && (mode.Perm()&0o444 != 0o444 || mode.IsDir() && mode.Perm()&0o111 != 0o111) {
			t.Errorf("%s: %v is not readable for everybody", name, mode)
		}
		if file.Typeflag == tar.TypeReg && mode.Perm()&0o111 != 0 && !strings.Contains(path.Base(name), ".so") {
			programs = append(programs, name)
		}
		if !slices.Contains([]byte{tar.TypeReg, tar.TypeDir, tar.TypeSymlink}, file.Typeflag) {
			t.Errorf("%s is neither file, directory nor link", name)
		}
	}
	slices.Sort(programs)
	const libexec = "/usr/lib/squid/"
	want := []string{container.EntrypointPath, libexec + "digest_file_auth", libexec + "unlinkd", container.SquidPath}
	if !slices.Equal(programs, want) {
		t.Errorf("programs %q, want %q", programs, want)
	}
	for name := range modes {
		if _, there := files[name]; !there {
			t.Errorf("%s is missing", name)
		}
	}
	if _, there := filesOf(t, save(t, inSecrets))[container.Dir+"/"+container.Passwords]; there {
		t.Error("there is a password file with credentials=secretsmanager")
	}
}

// The image has every library that its programs and libraries need, and no other.
func TestImageIsClosedUnderItsLibraries(t *testing.T) {
	files := filesOf(t, save(t, inImage))
	libraries := map[string]bool{} // → needed
	needed := map[string][]string{}
	for name, file := range files {
		if file.Typeflag != tar.TypeReg || !bytes.HasPrefix(file.content, []byte(elf.ELFMAG)) {
			continue
		}
		program, err := elf.NewFile(bytes.NewReader(file.content))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if needed[name], err = program.ImportedLibraries(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if strings.Contains(path.Base(name), ".so") {
			libraries[path.Base(name)] = false
		}
	}
	for name, asked := range needed {
		for _, library := range asked {
			if _, there := libraries[library]; !there {
				t.Errorf("%s needs %s, which is missing", name, library)
			}
			libraries[library] = true
		}
	}
	if len(libraries) < 20 {
		t.Errorf("only %d libraries", len(libraries))
	}
	for library, asked := range libraries {
		if !asked {
			t.Errorf("nothing needs %s", library)
		}
	}
}

func TestImageNamesItsPackages(t *testing.T) {
	files := filesOf(t, save(t, inImage))
	release := string(files["/usr/lib/os-release"].content)
	if !strings.Contains(release, "ID=debian\n") || !strings.Contains(release, "VERSION_CODENAME=trixie\n") ||
		files["/etc/os-release"].Linkname != "../usr/lib/os-release" {
		t.Errorf("os-release: %q", release)
	}
	packages := map[string]string{} // name → version
	for record := range strings.SplitSeq(strings.TrimSpace(string(files["/var/lib/dpkg/status"].content)), "\n\n") {
		fields := map[string]string{}
		for line := range strings.Lines(record) {
			if key, value, found := strings.Cut(line, ": "); found && !strings.HasPrefix(line, " ") {
				fields[key] = strings.TrimSpace(value)
			}
		}
		if fields["Status"] != "install ok installed" || fields["Package"] == "" ||
			fields["Version"] == "" || fields["Architecture"] == "" {
			t.Errorf("not a record of an installed package: %q", record)
		}
		packages[fields["Package"]] = fields["Version"]
		if len(files["/usr/share/doc/"+fields["Package"]+"/copyright"].content) == 0 {
			t.Errorf("%s: no copyright file", fields["Package"])
		}
	}
	for _, name := range []string{"squid", "libc6", "libgnutls30t64", "base-files"} {
		if packages[name] == "" {
			t.Errorf("no record of %s", name)
		}
	}
	if !strings.HasPrefix(packages["squid"], "6.") {
		t.Errorf("squid %s", packages["squid"])
	}
	if len(packages) < 20 || len(packages) > 40 {
		t.Errorf("%d packages", len(packages))
	}
}
