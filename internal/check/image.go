package check

import (
	"bytes"
	"cmp"
	"debug/elf"
	"fmt"
	"io/fs"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"squidfleet/params"
)

// imagePromises are about squid.conf, the Dockerfile and the image that they make.
func (a *Assembly) imagePromises() []Promise {
	family, platform, machine := "X86_64", "linux/amd64", elf.EM_X86_64
	if a.Params.Architecture == params.ARM64 {
		family, platform, machine = "ARM64", "linux/arm64", elf.EM_AARCH64
	}
	port := fmt.Sprint(a.Params.ListenerPort)
	repository, tag := a.repository(), a.one(assets).text("dockerImages.*.destinations.*.imageTag")
	program := a.one(docker).text("WORKDIR.0") + "/entrypoint"
	return []Promise{
		{"squid-entry", "docs/security.md", "a header from anything but the load balancer", cmp.Or(
			a.matches(conf, "http_port.*", `^(`+port+`|127\.0\.0\.1:\d+) require-proxy-header `),
			a.none(conf, "https_port", "ftp_port"), a.is(conf, "acl loopback.*", "src 127.0.0.1 ::1"),
			a.matches(conf, "proxy_protocol_access.*", `^(deny .*|allow load_balancer|allow health loopback)$`))},
		{"squid-access", "docs/security.md", "A request is served only if the client's address **and** the user",
			a.access()},
		{"image-user", "docs/security.md", "the image has an unprivileged user of its own",
			a.matches(docker, "USER.*", unprivileged)},
		{"architecture", "docs/parameters.md", "processor of the tasks", cmp.Or(
			a.is(assets, "dockerImages.*.source.platform", platform), a.compiledFor(machine),
			a.is(task, "RuntimePlatform.CpuArchitecture", family),
			a.is(task, "RuntimePlatform.OperatingSystemFamily", "LINUX"))},
		{"image", "docs/deploy.md", "The engine builds the image", a.matches(task, box+"Image",
			`^[^/]+\.dkr\.ecr\.[^/]+/`+regexp.QuoteMeta(repository+":"+tag)+`$`)},
		{"health", "docs/design/image.md", "`entrypoint health` makes two requests through Squid", cmp.Or(
			a.is(docker, "ENTRYPOINT.*", `["`+program+`"]`),
			a.is(task, box+"HealthCheck.Command", []string{"CMD", program, "health"}))},
		{"credentials", "docs/security.md", "No password is in a template, an image layer, a log or the assembly",
			a.credentials()},
	}
}

// blocks returns the addresses of an access list of squid.conf.
func (a *Assembly) blocks(acl string) (all []netip.Prefix) {
	for _, line := range a.texts(conf, "acl "+acl+".*") {
		block, _ := netip.ParsePrefix(strings.TrimPrefix(line, "src ")) // in none of the blocks if it is none
		all = append(all, block)
	}
	return all
}

// access: one rule lets requests through, of known clients with a right password unless there are
// none. What it must not let through is refused before it, and all else after it.
func (a *Assembly) access() *Finding {
	p, clients := a.Params, slices.Clone(a.Params.ClientCidrs)
	for _, l := range leaves("", a.lookedUp()) {
		if block, err := netip.ParsePrefix(strings.Trim(l.value, `"`)); err == nil && len(p.ClientSecurityGroups) > 0 {
			clients = append(clients, block) // The groups' members have addresses of the VPC.
		}
	}
	if got := a.blocks("clients"); !hold(clients, got...) {
		return a.one(conf).wrong("acl clients: is %v, want nothing but %v", got, clients)
	}
	last := []string{"allow clients authenticated", "deny all"}
	if p.Auth == "none" {
		last[0] = "allow clients"
	}
	rules := texts(a.one(conf).values("http_access.*"))
	end := max(0, len(rules)-len(last))
	allows := func(rule string) bool { return !strings.HasPrefix(rule, "deny ") }
	if !slices.Equal(rules[end:], last) || slices.ContainsFunc(rules[:end], allows) {
		return a.one(conf).wrong("http_access: ends in %q, want %q and no other that allows", rules[end:], last)
	}
	before := []string{"deny !known_methods", "deny manager", "deny !resolved", "deny forbidden"}
	ports := func(requests, acl string, list []int) *Finding {
		if len(list) > 0 {
			requests += " !" + acl
		}
		before = append(before, "deny "+requests)
		var want []string
		for _, port := range list {
			want = append(want, fmt.Sprint("port ", port))
		}
		return a.lists(conf, "acl "+acl+".*", want)
	}
	found := cmp.Or(ports("!connect", "http_ports", p.HTTPPorts), ports("connect", "connect_ports", p.ConnectPorts),
		a.matches(conf, "acl authenticated.*", `^(ext_user REQUIRED|proxy_auth REQUIRED|)$`),
		// No refusal is remembered, and no answer for another address.
		a.matches(conf, "external_acl_type.*", `^$| negative_ttl=0 .* %0*>a `))
	for _, rule := range before {
		if !slices.Contains(rules, rule) {
			found = cmp.Or(found, a.one(conf).wrong("http_access %s: is missing", rule))
		}
	}
	return found
}

func (a *Assembly) compiledFor(machine elf.Machine) *Finding {
	if program, err := elf.NewFile(bytes.NewReader(a.image("entrypoint"))); err != nil || program.Machine != machine {
		return &Finding{File: a.ImageDirectory() + "/entrypoint", Message: fmt.Sprintf("is no program for %s", machine)}
	}
	return nil
}

// repository is the one that the image is pushed to.
func (a *Assembly) repository() string {
	return sub(a.one(assets).text("dockerImages.*.destinations.*.repositoryName"))
}

// secretive is what credentials look like in small letters, or references that put one into a
// template. A pattern that begins with a plain text is found fast.
var secretive = func() (all []*regexp.Regexp) {
	patterns := strings.Fields(`\b[0-9a-f]{32}\b akia[0-9a-z]{16}\b asia[0-9a-z]{16}\b -----begin[a-z\s]+key-----
		\{\{resolve: ://[^/\s:@⟨"]+:[^/\s@⟨"]+@`)
	for _, name := range strings.Fields("password passwd pwd passphrase secret token apikey api_key") {
		patterns = append(patterns, name+`(?:_\w+)?["']?\s*[:=]\s*["']?[^\s"'⟨{$\[]{6,}`)
	}
	for _, pattern := range patterns {
		all = append(all, regexp.MustCompile(pattern))
	}
	return all
}()

// credential returns the place of a text that looks like a credential, or a negative number.
func credential(text []byte) int {
	small := bytes.ToLower(text)
	for _, pattern := range secretive {
		if at := pattern.FindIndex(small); at != nil {
			return at[0]
		}
	}
	return -1
}

// credentials looks at every text of the assembly but the password file, which is there for hashes,
// and at the container's variables, name and value on one line.
func (a *Assembly) credentials() *Finding {
	found := cmp.Or(a.none(secret, "SecretString"), a.each(task, func(r *resource) string {
		if credential([]byte(written(r.value(box+"Environment")))) >= 0 {
			return "Environment: holds what looks like a credential"
		}
		return ""
	}))
	_ = fs.WalkDir(a.files, ".", func(name string, entry fs.DirEntry, err error) error {
		file, inImage := strings.CutPrefix(name, a.ImageDirectory()+"/")
		if err != nil || entry.IsDir() || file == "passwords" || file == "entrypoint" ||
			strings.Contains(name, "/") && !inImage {
			return nil
		}
		content, _ := fs.ReadFile(a.files, name) // the comparison reports what cannot be read
		if at := credential(content); at >= 0 {
			line := 1 + bytes.Count(content[:at], []byte("\n"))
			found = cmp.Or(found, &Finding{File: name, Message: fmt.Sprintf("line %d: looks like a credential", line)})
		}
		return nil
	})
	return found
}
