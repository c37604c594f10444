package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/json"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"squidfleet/internal/must"
	"squidfleet/proxyimage/container"
)

// saved is an image as an engine pushes it.
type saved struct {
	layers  [][]byte // tar archives, the lowest first
	config  []byte
	archive []byte // everything, as one archive
}

// images are those saved so far, by mode.
var images = map[string]saved{}

func save(t testing.TB, mode string) saved {
	t.Helper()
	if image, done := images[mode]; done {
		return image
	}
	file := filepath.Join(t.TempDir(), "image.tar")
	if _, err := containers.Run(t.Context(), "save", "--output="+file, tag(mode)); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(file)
	must.OK(t, err)
	files := map[string][]byte{}
	links := map[string]string{}
	untar(t, content, func(header *tar.Header, content []byte) {
		if header.Typeflag == tar.TypeSymlink {
			links[header.Name] = path.Join(path.Dir(header.Name), header.Linkname)
			return
		}
		files[header.Name] = content
	})
	var manifest []struct {
		Config string
		Layers []string
	}
	if err := json.Unmarshal(files["manifest.json"], &manifest); err != nil || len(manifest) != 1 {
		t.Fatalf("manifest: %v, %d images", err, len(manifest))
	}
	image := saved{config: files[manifest[0].Config], archive: content}
	for _, name := range manifest[0].Layers {
		if target, linked := links[name]; linked {
			name = target
		}
		if len(files[name]) == 0 {
			t.Fatalf("layer %s is missing", name)
		}
		image.layers = append(image.layers, files[name])
	}
	images[mode] = image
	return image
}

// untar calls a function with each entry of an archive.
func untar(t testing.TB, archive []byte, each func(header *tar.Header, content []byte)) {
	t.Helper()
	for entries := tar.NewReader(bytes.NewReader(archive)); ; {
		header, err := entries.Next()
		if err == io.EOF {
			return
		}
		must.OK(t, err)
		content, err := io.ReadAll(entries)
		must.OK(t, err)
		each(header, content)
	}
}

// imageFile is a file of the image.
type imageFile struct {
	*tar.Header
	content []byte
}

// files are those of all layers.
func (i saved) files(t testing.TB) map[string]imageFile {
	t.Helper()
	found := map[string]imageFile{}
	for _, layer := range i.layers {
		untar(t, layer, func(header *tar.Header, content []byte) {
			name := "/" + strings.Trim(header.Name, "/")
			if strings.HasPrefix(path.Base(name), ".wh.") {
				t.Errorf("%s: a layer removes what a lower one holds", name)
			}
			found[name] = imageFile{header, content}
		})
	}
	return found
}

const megabyte = 1_000_000

// The image's limits in megabytes, as it is and as a registry keeps it.
const diskLimit, compressedLimit = 30, 12

// size is the bytes of all layers, as they are and as a registry keeps them.
func (i saved) size(t testing.TB) (disk, compressed int) {
	t.Helper()
	for _, layer := range i.layers {
		var packed bytes.Buffer
		writer := gzip.NewWriter(&packed)
		if _, err := writer.Write(layer); err != nil {
			t.Fatal(err)
		}
		must.OK(t, writer.Close())
		disk += len(layer)
		compressed += packed.Len()
	}
	return disk, compressed
}

func TestImageSize(t *testing.T) {
	for _, mode := range []string{inSecrets, inImage} {
		disk, compressed := save(t, mode).size(t)
		t.Logf("%s: %.2f MB in layers, %.2f MB compressed", mode, float64(disk)/megabyte, float64(compressed)/megabyte)
		if disk > diskLimit*megabyte || compressed > compressedLimit*megabyte {
			t.Errorf("%s: more than %d MB, or %d MB compressed", mode, diskLimit, compressedLimit)
		}
	}
}

func TestImageHoldsOnlyWhatSquidNeeds(t *testing.T) {
	files := save(t, inImage).files(t)
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
	if _, there := save(t, inSecrets).files(t)[container.Dir+"/"+container.Passwords]; there {
		t.Error("there is a password file with credentials=secretsmanager")
	}
}

// The image has every library that its programs and libraries need, and no other.
func TestImageIsClosedUnderItsLibraries(t *testing.T) {
	files := save(t, inImage).files(t)
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
	files := save(t, inImage).files(t)
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

func TestImageConfiguration(t *testing.T) {
	for _, mode := range []string{inSecrets, inImage} {
		var image struct {
			Config struct {
				User       string
				Env        []string
				Entrypoint []string
				Cmd        []string
				WorkingDir string
				Volumes    map[string]any
			} `json:"config"`
		}
		must.OK(t, json.Unmarshal(save(t, mode).config, &image))
		c := image.Config
		definition := fleets[mode].task
		if c.User != definition.ContainerDefinitions[0].User || c.WorkingDir != container.Dir ||
			!slices.Equal(c.Entrypoint, []string{container.EntrypointPath}) || len(c.Cmd) != 0 {
			t.Errorf("%s: %+v", mode, c)
		}
		volumes, mounts := strings.Join(slices.Sorted(maps.Keys(c.Volumes)), " "), definition.mountPoints()
		if volumes != mounts {
			t.Errorf("%s: volumes %s, want the task definition's mount points %s", mode, volumes, mounts)
		}
		for _, variable := range c.Env {
			if strings.HasPrefix(variable, container.EnvPrefix) {
				t.Errorf("%s: the image sets %s", mode, variable)
			}
		}
	}
}
