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
		{"image-user", "docs/security.md", "the image has an unprivileged user of its own", cmp.Or(
			a.matches(docker, "USER.*", `^[1-9]\d*:[1-9]\d*$`),
			a.is(task, box+"MountPoints.*.ContainerPath", a.one(docker).text("VOLUME.0")))},
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
		for _, value := range strings.Fields(line) {
			all = append(all, block(value))
		}
	}
	return all
}

// access: one rule lets requests through, of known clients with a right password unless there are
// none. What it must not let through is refused before it, and all else after it.
func (a *Assembly) access() *Finding {
	p, clients := a.Params, slices.Clone(a.Params.ClientCidrs)
	for key, vpc := range a.lookups {
		for _, l := range leaves("", vpc) {
			b := block(strings.Trim(l.value, `"`))
			if len(p.ClientSecurityGroups) > 0 && strings.Contains(key, p.VpcID) && b.IsValid() {
				clients = append(clients, b) // The groups' members have addresses of the VPC.
			}
		}
	}
	if got, want := merged(a.blocks("clients")), merged(clients); !slices.Equal(got, want) {
		return a.one(conf).wrong("acl clients: is %v, want %v", got, want)
	}
	checked := "ext_user"
	if p.Digest == squid.DigestSquid {
		checked = "proxy_auth"
	}
	last, denied := []string{"allow clients", "deny all"}, []string{"!clients", "manager", "!resolved", "forbidden"}
	// No refusal is remembered, and no answer for another address.
	found := a.matches(conf, "external_acl_type.*", `^$| negative_ttl=0 .* %0*>a `)
	if p.Auth != "none" {
		last[0], denied = "allow clients authenticated", append(denied, "!authenticated")
		found = cmp.Or(found, a.is(conf, "acl authenticated "+checked, []string{"REQUIRED"}))
	}
	ports := func(list []int) []string { return strings.Fields(strings.Trim(fmt.Sprint(list), "[]")) }
	for _, list := range []struct {
		acl, option string
		values      []string
		with, empty string // what is denied with values, and without one
	}{
		{"http_ports port", "", ports(p.HTTPPorts), "!connect !http_ports", "!connect"},
		{"connect_ports port", "", ports(p.ConnectPorts), "connect !connect_ports", "connect"},
		{"allowed_domains dstdomain", "-n ", p.AllowedDomains, "!allowed_domains", "!clients"},
		{"blocked_domains dstdomain", "-n ", p.BlockedDomains, "blocked_domains", "!clients"},
	} {
		var want []string
		rule := list.empty
		for _, value := range list.values {
			want, rule = append(want, list.option+value), list.with
		}
		found, denied = cmp.Or(found, a.lists(conf, "acl "+list.acl+".*", want)), append(denied, rule)
	}
	rules := texts(a.one(conf).values("http_access.*"))
	end := max(0, len(rules)-2)
	allows := func(rule string) bool { return !strings.HasPrefix(rule, "deny ") }
	if !slices.Equal(rules[end:], last) || slices.ContainsFunc(rules[:end], allows) {
		found = cmp.Or(found, a.one(conf).wrong("http_access: ends in %q, want %q and no other that allows",
			rules[end:], last))
	}
	for _, rule := range denied {
		if !slices.Contains(rules, "deny "+rule) {
			found = cmp.Or(found, a.one(conf).wrong("http_access deny %s: is missing", rule))
		}
	}
	return found
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

// credentials looks at every text of the assembly but the password file, which is there for hashes.
func (a *Assembly) credentials() (found *Finding) {
	err := fs.WalkDir(a.files, ".", func(name string, entry fs.DirEntry, err error) error {
		file, inImage := strings.CutPrefix(name, a.ImageDirectory()+"/")
		if err != nil || entry.IsDir() || file == "passwords" || file == "entrypoint" ||
			strings.Contains(name, "/") && !inImage {
			return err
		}
		content, err := fs.ReadFile(a.files, name)
		if at := credential.FindIndex(content); at != nil {
			line := 1 + bytes.Count(content[:at[0]], []byte("\n"))
			found = &Finding{File: name, Message: fmt.Sprintf("line %d: looks like a credential", line)}
		}
		return err
	})
	if err != nil {
		return &Finding{File: ".", Message: err.Error()}
	}
	return cmp.Or(a.each(task, func(r *resource) string {
		variables, _ := r.value(box + "Environment").(map[string]any)
		for name, value := range variables {
			if name != "SQUIDFLEET_CREDENTIALS" && credential.MatchString(name+"="+text(value)) {
				return "Environment: " + name + " looks like a credential; hand it over from Secrets Manager"
			}
		}
		return ""
	}), found, a.is(secret, "SecretString", nil),
		a.matches(secret, "GenerateSecretString.PasswordLength", `^(3[2-9]|[4-9]\d|1[01]\d|12[0-8])$`))
}
