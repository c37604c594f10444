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
		found = cmp.Or(found, a.one(conf).wrong("http_access: ends without deny all"))
	}
	needs, refused := []string{"clients", "known_methods", "resolved"}, []string{"load_balancer", "manager", "forbidden"}
	if p.Auth != "none" {
		needs = append(needs, "authenticated")
		found = cmp.Or(found, a.is(conf, "acl authenticated "+checked, []string{"REQUIRED"}))
	}
	if len(p.AllowedDomains) > 0 {
		needs = append(needs, "allowed_domains")
	}
	if len(p.BlockedDomains) > 0 {
		refused = append(refused, "blocked_domains")
	}
	for _, of := range []struct {
		request []string
		ports   []int
	}{{[]string{"http_scheme", "http_ports"}, p.HTTPPorts}, {[]string{"connect", "connect_ports"}, p.ConnectPorts}} {
		right := slices.Concat(of.request, needs)
		wrong := map[string][]string{}
		for i, acl := range right {
			wrong["not "+acl] = slices.Concat(right[:i], right[i+1:])
		}
		for _, acl := range refused {
			wrong[acl] = append(slices.Clone(right), acl)
		}
		for _, what := range slices.Sorted(maps.Keys(wrong)) {
			if a.serves(wrong[what]) {
				found = cmp.Or(found, a.one(conf).wrong("http_access: serves a request that is %s, and else %q", what, right))
			}
		}
		if a.serves(right) != (len(of.ports) > 0) {
			found = cmp.Or(found, a.one(conf).wrong("http_access: serves %q: is %t", right, len(of.ports) == 0))
		}
	}
	return found
}

// serves reports whether squid.conf admits a request that is all of some access lists and of no
// others. The first rule decides of which that is so.
func (a *Assembly) serves(request []string) bool {
	for _, rule := range texts(a.one(conf).values("http_access.*")) {
		words := strings.Fields(rule)
		if !slices.ContainsFunc(words[1:], func(acl string) bool {
			name, not := strings.CutPrefix(acl, "!")
			return name != "all" && slices.Contains(request, name) == not
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

// credential matches text that looks like one, or like a reference that puts one into a template.
var credential = regexp.MustCompile(`(?i)\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|-----BEGIN [A-Z ]*PRIVATE KEY-----|` +
	`\{\{resolve:|\bgh[pousr]_[A-Za-z0-9]{36}|\bgithub_pat_|\bglpat-|\bsk-[A-Za-z0-9_-]{20,}|\bxox[abps]-|` +
	`\beyJ[A-Za-z0-9_-]{10,}\.eyJ|://[^/\s:@⟨"]+:[^/\s@⟨"]+@|\b[0-9a-f]{32}\b|` +
	`(?:password|passwd|pwd|passphrase|secret|token|api_?key)(?:_\w+)?["']?\s*[:=]\s*["']?[^\s"'⟨{$\[]{6,}`)

// credentials looks at every text of the assembly but the password file, which is there for hashes,
// and at the container's variables, name and value on one line.
func (a *Assembly) credentials() *Finding {
	found := cmp.Or(a.none(secret, "SecretString"), a.each(task, func(r *resource) string {
		if text := credential.FindString(written(r.value(box + "Environment"))); text != "" {
			return "Environment: looks like a credential, which is to come from Secrets Manager: " + text
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
		if at := credential.FindIndex(content); at != nil {
			line := 1 + bytes.Count(content[:at[0]], []byte("\n"))
			found = cmp.Or(found, &Finding{File: name, Message: fmt.Sprintf("line %d: looks like a credential", line)})
		}
		return err
	})
	if err != nil {
		return &Finding{File: ".", Message: err.Error()}
	}
	return found
}
