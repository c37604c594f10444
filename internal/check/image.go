package check

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"fmt"
	"hash"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // for machines that have no time zones of their own

	"squidfleet/proxyimage"
	"squidfleet/proxyimage/container"
	"squidfleet/squid"
)

// checkImage: the build context is whole, its program runs on the tasks' architecture, and its configuration is that of the parameters and of the network in the templates.
func (f *fleet) checkImage() {
	template := f.proxy.Name
	report := func(rule, format string, args ...any) { f.report(template, none, rule, format, args...) }
	if len(f.proxy.Images) != 1 {
		report("image", "the assembly builds %d images, want 1", len(f.proxy.Images))
		return
	}
	image := f.proxy.Images[0]
	platform := "linux/" + f.Architecture.GOARCH()
	if image.Platform != platform {
		report("image", "the image is built for %q, want %q: architecture", image.Platform, platform)
	}
	if image.Tag != image.Hash {
		report("image", "the image is pushed as %q, want its hash %q", image.Tag, image.Hash)
	}
	if image.Files == nil {
		return // Load has told why
	}
	f.checkFiles(image.Files)
	f.checkProgram(image.Files[container.Entrypoint])
	f.checkConfiguration(string(image.Files[container.SquidConf]))
}

// context reads the build context of an image, and compares it with the hash that names it.
func (l *loader) context(file string, image *Image) {
	name := filepath.Base(image.Directory)
	info, err := os.Stat(image.Directory)
	if err != nil || !info.IsDir() {
		l.report(file, "asset", "%s: the image's build context is missing: synthesise again", name)
		return
	}
	files, err := readAll(image.Directory)
	if err != nil {
		l.report(file, "asset", "%s: %v", name, err)
		return
	}
	image.Files = files
	for _, path := range slices.Sorted(maps.Keys(files)) {
		// The program is compiled, and hashes are what the password file is for.
		if path != container.Entrypoint && path != container.Passwords && secret.Match(files[path]) {
			l.report(file, "secret", "%s/%s: looks like it holds a credential", name, path)
		}
	}
	// The CLI builds and pushes a name once, so that a context that was changed after synth would never be deployed.
	if sum := fingerprint(files, image.Platform); sum != image.Hash {
		l.report(file, "asset-hash", "%s has changed since it was synthesised (its hash is %s now): synthesise again", name, sum)
	}
}

// readAll reads the files below a directory by their slash-separated paths. A link or a device is an error: what it leads to is not part of the assembly.
func readAll(directory string) (map[string][]byte, error) {
	files := map[string][]byte{}
	err := filepath.WalkDir(directory, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		relative, err := filepath.Rel(directory, path)
		if err != nil {
			return err
		}
		if !entry.Type().IsRegular() {
			return fmt.Errorf("%s is no plain file", relative)
		}
		files[filepath.ToSlash(relative)], err = os.ReadFile(path)
		return err
	})
	return files, err
}

// fingerprint is the hash by which the CDK names a build context: of the options it builds with, and of each file's path, length and content, in the order of a walk
// (aws-cdk-lib 2.270.0, core/lib/fs/fingerprint.js and aws-ecr-assets/lib/image-asset.js).
func fingerprint(files map[string][]byte, platform string) string {
	h := sha256.New()
	field(h, "options.extra", fmt.Sprintf(`{"platform":{"platform":%q},"version":"1.21.0"}`, platform))
	field(h, "options.follow", "external")
	field(h, "options.ignoreMode", "docker")
	// A walk sorts the names in each directory: a slash comes before anything that a name may go on with.
	names := slices.SortedFunc(maps.Keys(files), func(a, b string) int { return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/")) })
	for _, name := range names {
		content := files[name]
		// A file without a zero byte in its first 8 KiB is text, whose line ends do not count.
		if bytes.IndexByte(content[:min(len(content), 8<<10)], 0) < 0 {
			content = bytes.ReplaceAll(content, []byte("\r\n"), []byte("\n"))
		}
		sum := sha256.Sum256(content)
		field(h, "file:"+name, fmt.Sprintf("%d:%s", len(content), hex.EncodeToString(sum[:])))
	}
	return hex.EncodeToString(h.Sum(nil))
}

func field(h hash.Hash, header, value string) {
	fmt.Fprintf(h, "\x01%s\x02%s\x03", header, value)
}

// checkFiles: nothing is missing, and nothing is there that does not belong into an image.
func (f *fleet) checkFiles(files map[string][]byte) {
	want := map[string]bool{container.Entrypoint: true, container.SquidConf: true, container.Localtime: true}
	fixed := proxyimage.Recipe()
	for name, body := range squid.ErrorPages() {
		fixed[container.ErrorDir+"/"+name] = []byte(body)
	}
	for name, content := range fixed {
		want[name] = true
		if got, there := files[name]; there && !bytes.Equal(got, content) {
			f.report(f.proxy.Name, none, "image", "%s: is not the one that the image is made with", name)
		}
	}
	if !f.secretsManager() {
		want[container.Passwords] = true
		f.checkPasswordFile(string(files[container.Passwords]))
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if content, there := files[name]; !there {
			f.report(f.proxy.Name, none, "asset", "%s: is missing from the image's build context", name)
		} else if len(content) == 0 && filepath.Dir(name) == "." {
			f.report(f.proxy.Name, none, "asset", "%s: is empty", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !want[name] {
			f.report(f.proxy.Name, none, "asset", "%s: does not belong into the image", name)
		}
	}
	f.checkZone(files[container.Localtime])
}

// checkZone: the time zone's clock says what that of timezone says, in the years that an image may be in use. The files need not be the same: databases differ in how far back they go.
func (f *fleet) checkZone(content []byte) {
	if len(content) == 0 {
		return // told as missing
	}
	got, err := time.LoadLocationFromTZData(f.Timezone, content)
	if err != nil {
		f.report(f.proxy.Name, none, "image", "%s: is no time zone: %v", container.Localtime, err)
		return
	}
	want, err := time.LoadLocation(f.Timezone)
	if err != nil {
		f.report(f.proxy.Name, none, "image", "timezone: %v", err)
		return
	}
	const year, years, day = 2025, 10, 24 * time.Hour
	for at := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() < year+years; at = at.Add(day) {
		name, offset := at.In(got).Zone()
		if wantName, wantOffset := at.In(want).Zone(); name != wantName || offset != wantOffset {
			f.report(f.proxy.Name, none, "image", "%s: says %s when it is %s in %s: timezone", container.Localtime, at.In(got), at.In(want), f.Timezone)
			return
		}
	}
}

// checkPasswordFile: the hashes of each user in the realm, as many and as long as squid.PasswordFile makes them, and nothing else.
func (f *fleet) checkPasswordFile(content string) {
	var credentials []squid.Credential
	for _, user := range f.Users {
		credentials = append(credentials, squid.Credential{User: user, Password: "any password"})
	}
	like, err := squid.PasswordFile(f.Digest, f.Realm, credentials)
	if err != nil {
		f.report(f.proxy.Name, none, "password", "%s: the parameters make none: %v", container.Passwords, err)
		return
	}
	if got, want := withoutHashes(content), withoutHashes(string(like)); got != want {
		f.report(f.proxy.Name, none, "password", "%s: holds %q, want %q", container.Passwords, got, want)
	}
}

// withoutHashes replaces the hash at the end of each line by its length in bytes.
func withoutHashes(content string) string {
	var kept strings.Builder
	for line := range strings.Lines(content) {
		name, hash, _ := cutLast(strings.TrimSuffix(line, "\n"), ":")
		decoded, err := hex.DecodeString(hash)
		if err != nil {
			decoded = nil
		}
		fmt.Fprintf(&kept, "%s:%d ", name, len(decoded))
	}
	return kept.String()
}

func cutLast(s, separator string) (before, after string, found bool) {
	i := strings.LastIndex(s, separator)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(separator):], true
}

// checkProgram: the entrypoint is a static program for the tasks' architecture.
func (f *fleet) checkProgram(content []byte) {
	if len(content) == 0 {
		return // told as missing
	}
	program, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		f.report(f.proxy.Name, none, "image", "%s: is no Linux program: %v", container.Entrypoint, err)
		return
	}
	machine := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[f.Architecture.GOARCH()]
	if program.Machine != machine {
		f.report(f.proxy.Name, none, "image", "%s: is for %v, want %v: architecture", container.Entrypoint, program.Machine, machine)
	}
	if slices.ContainsFunc(program.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		f.report(f.proxy.Name, none, "image", "%s: is linked with libraries that the image does not have", container.Entrypoint)
	}
}

// checkConfiguration compares squid.conf with the one that the parameters and the network in the templates make. So the clients' and the load balancer's addresses, the ports and the
// VPC's ranges are the same in Squid's rules and in the security groups'.
func (f *fleet) checkConfiguration(got string) {
	if got == "" {
		return // told as missing
	}
	loadBalancer, vpc := f.ranges()
	want, err := proxyimage.Config(f.Params, proxyimage.Network{LoadBalancerCidrs: loadBalancer, VpcCidrs: vpc}).Render()
	if err != nil {
		f.report(f.proxy.Name, none, "squid.conf", "the parameters and the network make none: %v", err)
		return
	}
	have, should := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(have), len(should)) {
		a, b := "(end)", "(end)"
		if i < len(have) {
			a = have[i]
		}
		if i < len(should) {
			b = should[i]
		}
		if a != b {
			f.report(f.proxy.Name, none, "squid.conf", "line %d: is %q, want %q: the parameters and the network in the templates make it so", i+1, a, b)
			return
		}
	}
}
