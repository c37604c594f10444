package check

import (
	"bytes"
	"cmp"
	"debug/elf"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"squidfleet/params"
	"squidfleet/squid"
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
			a.none(conf, "https_port", "ftp_port"), a.is(conf, "acl loopback src.*", "127.0.0.1 ::1"),
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
	for _, line := range a.texts(conf, "acl "+acl+" src.*") {
		block, _ := netip.ParsePrefix(line) // in none of the blocks if it is none
		all = append(all, block)
	}
	return all
}

// access: a request needs all that the document names, and some that it may not have.
func (a *Assembly) access() *Finding {
	p, clients, checked := a.Params, slices.Clone(a.Params.ClientCidrs), "ext_user"
	for _, l := range leaves("", a.lookedUp()) {
		if block, err := netip.ParsePrefix(strings.Trim(l.value, `"`)); err == nil && len(p.ClientSecurityGroups) > 0 {
			clients = append(clients, block) // The groups' members have addresses of the VPC.
		}
	}
	if got := a.blocks("clients"); !hold(clients, got...) {
		return a.one(conf).wrong("acl clients: is %v, want nothing but %v", got, clients)
	}
	if p.Digest == squid.DigestSquid {
		checked = "proxy_auth"
	}
	ports := func(list []int) []string { return strings.Fields(strings.Trim(fmt.Sprint(list), "[]")) }
	found := cmp.Or(a.lists(conf, "acl http_ports port.*", ports(p.HTTPPorts)),
		a.lists(conf, "acl connect_ports port.*", ports(p.ConnectPorts)),
		a.lists(conf, "acl allowed_domains dstdomain.*", p.AllowedDomains),
		a.lists(conf, "acl blocked_domains dstdomain.*", p.BlockedDomains),
		// No refusal is remembered, and no answer for another address.
		a.matches(conf, "external_acl_type.*", `^$| negative_ttl=0 .* %0*>a `))

	if rules := texts(a.one(conf).values("http_access.*")); !slices.Contains(rules[max(0, len(rules)-1):], "deny all") {
		found = cmp.Or(found, a.one(conf).wrong("http_access: does not end in deny all"))
	}
	right := map[string]bool{"clients": true, "known_methods": true, "resolved": true,
		"load_balancer": false, "manager": false, "forbidden": false}
	if p.Auth != "none" {
		right["authenticated"] = true
		found = cmp.Or(found, a.is(conf, "acl authenticated "+checked, []string{"REQUIRED"}))
	}
	if len(p.AllowedDomains) > 0 {
		right["allowed_domains"] = true
	}
	if len(p.BlockedDomains) > 0 {
		right["blocked_domains"] = false
	}
	plain, tunnel := maps.Clone(right), maps.Clone(right)
	plain["http_scheme"], plain["http_ports"], plain["connect"] = true, true, false
	tunnel["connect_ports"], tunnel["connect"] = true, true
	return cmp.Or(found, a.serves(plain, len(p.HTTPPorts) > 0), a.serves(tunnel, len(p.ConnectPorts) > 0))
}

// serves wants a request to be served or not, by what access lists say of it, and none for which
// one of them says something else.
func (a *Assembly) serves(request map[string]bool, want bool) *Finding {
	if a.allows(request) != want {
		return a.one(conf).wrong("http_access: a request that is %v is allowed: %t, want %t", request, !want, want)
	}
	for _, acl := range slices.Sorted(maps.Keys(request)) {
		other := maps.Clone(request)
		if other[acl] = !request[acl]; a.allows(other) {
			return a.one(conf).wrong("http_access: allows a request for which %q is %t", acl, other[acl])
		}
	}
	return nil
}

// allows reports whether the first rule that is about a request allows it.
func (a *Assembly) allows(request map[string]bool) bool {
	for _, rule := range texts(a.one(conf).values("http_access.*")) {
		words := strings.Fields(rule)
		if !slices.ContainsFunc(words[1:], func(acl string) bool {
			name, not := strings.CutPrefix(acl, "!")
			return name != "all" && request[name] == not
		}) {
			return words[0] == "allow"
		}
	}
	return false
}

func (a *Assembly) compiledFor(machine elf.Machine) *Finding {
	if program, err := elf.NewFile(bytes.NewReader(a.program)); err != nil || program.Machine != machine {
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

// credential returns the place of the first text that looks like a credential, or a negative number.
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
	err := fs.WalkDir(a.files, ".", func(name string, entry fs.DirEntry, err error) error {
		file, inImage := strings.CutPrefix(name, a.ImageDirectory()+"/")
		if err != nil || entry.IsDir() || file == "passwords" || file == "entrypoint" ||
			strings.Contains(name, "/") && !inImage {
			return err
		}
		content, err := fs.ReadFile(a.files, name)
		if at := credential(content); at >= 0 {
			line := 1 + bytes.Count(content[:at], []byte("\n"))
			found = cmp.Or(found, &Finding{File: name, Message: fmt.Sprintf("line %d: looks like a credential", line)})
		}
		return err
	})
	if err != nil {
		return &Finding{File: ".", Message: err.Error()}
	}
	return found
}
