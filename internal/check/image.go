package check

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io/fs"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"squidfleet/params"
)

// directives returns what follows some words in squid.conf, line by line.
func (a *Assembly) directives(words ...string) (found [][]string) {
	for _, line := range a.conf {
		if len(line) >= len(words) && slices.Equal(line[:len(words)], words) {
			found = append(found, line[len(words):])
		}
	}
	return found
}

// acl returns the values of an access list of squid.conf that has one of these types.
func (a *Assembly) acl(name string, types ...string) (values []string) {
	for _, line := range a.directives("acl", name) {
		if slices.Contains(types, line[0]) {
			values = append(values, line[1:]...)
		}
	}
	return values
}

// blocks reads addresses and blocks of them.
func blocks(values ...string) (all []netip.Prefix) {
	for _, value := range values {
		block, err := netip.ParsePrefix(value)
		if addr, notAddr := netip.ParseAddr(value); err != nil && notAddr == nil {
			block = netip.PrefixFrom(addr, addr.BitLen())
		}
		all = append(all, block)
	}
	return all
}

// believed returns the blocks outside of the container from which Squid takes PROXY headers.
func (a *Assembly) believed() (all []netip.Prefix) {
	for _, line := range a.directives("proxy_protocol_access", "allow") {
		sources := []string{"0.0.0.0/0", "::/0"} // unless a list of addresses says which
		for _, name := range line {
			if values := a.acl(name, "src"); len(values) > 0 {
				sources = values
			}
		}
		all = append(all, blocks(sources...)...)
	}
	return slices.DeleteFunc(all, func(block netip.Prefix) bool { return block.Addr().IsLoopback() })
}

// squidEntry: the clients' port is the only one, and takes connections of the load balancer
// with a PROXY header only.
func squidEntry(a *Assembly) *Finding {
	var ports []string
	for _, line := range slices.Concat(a.directives("http_port"), a.directives("https_port"),
		a.directives("ftp_port")) {
		if !slices.Contains(line, "require-proxy-header") {
			return a.inImage("squid.conf", "port %s: is open without a PROXY header", line[0])
		}
		if !strings.HasPrefix(line[0], "127.0.0.1:") {
			ports = append(ports, line[0])
		}
	}
	if want := []string{fmt.Sprint(a.Params.ListenerPort)}; !slices.Equal(ports, want) {
		return a.inImage("squid.conf", "http_port: is %v, want %v", ports, want)
	}
	got, want := merged(a.believed()), addresses(a.entrySubnets())
	if !slices.Equal(got, want) && subnetsApart(a) == nil {
		return a.inImage("squid.conf", "proxy_protocol_access: believes %v, want the load balancer's subnets, %v",
			got, want)
	}
	return nil
}

// squidAccess: one rule lets requests through, of known clients with a right password unless there
// are none. What it must not let through is refused before it, and all else after it.
func squidAccess(a *Assembly) *Finding {
	p := a.Params
	clients := p.ClientCidrs
	if len(p.ClientSecurityGroups) > 0 { // whose members have addresses of the VPC
		clients = slices.Concat(clients, a.vpcBlocks())
	}
	got, want := merged(blocks(a.acl("clients", "src")...)), merged(clients)
	if !slices.Equal(got, want) {
		return a.inImage("squid.conf", "acl clients: is %v, want %v", got, want)
	}
	before := []string{"deny !clients", "deny manager", "deny !resolved", "deny forbidden"}
	last := []string{"allow clients", "deny all"}
	if p.Auth != "none" {
		if got := a.acl("authenticated", "ext_user", "proxy_auth"); !slices.Equal(got, []string{"REQUIRED"}) {
			return a.inImage("squid.conf", "acl authenticated: is %v, want any user with a password", got)
		}
		before, last[0] = append(before, "deny !authenticated"), last[0]+" authenticated"
	}
	for _, helper := range a.directives("external_acl_type") {
		if !slices.Contains(helper, "negative_ttl=0") || !slices.Contains(helper, "%>a") {
			return a.inImage("squid.conf", "external_acl_type %s: remembers wrong passwords, or for any address",
				helper[0])
		}
	}
	for name, ports := range map[string][]int{"http_ports": p.HTTPPorts, "connect_ports": p.ConnectPorts} {
		if got := a.acl(name, "port"); unlike(got, strings.Fields(strings.Trim(fmt.Sprint(ports), "[]"))) != "" {
			return a.inImage("squid.conf", "acl %s: is %v, want %v", name, got, ports)
		}
		rule := map[string]string{"http_ports": "deny !connect", "connect_ports": "deny connect"}[name]
		if len(ports) > 0 {
			rule += " !" + name
		}
		before = append(before, rule)
	}
	for rule, names := range map[string][]string{
		"deny !allowed_domains": p.AllowedDomains, "deny blocked_domains": p.BlockedDomains,
	} {
		name := strings.TrimPrefix(strings.TrimPrefix(rule, "deny "), "!")
		got := slices.DeleteFunc(a.acl(name, "dstdomain"), func(value string) bool { return value == "-n" })
		if unlike(got, names) != "" {
			return a.inImage("squid.conf", "acl %s: is %v, want %v", name, got, names)
		}
		if len(names) > 0 {
			before = append(before, rule)
		}
	}
	var rules []string
	for _, line := range a.directives("http_access") {
		rules = append(rules, strings.Join(line, " "))
	}
	end := max(0, len(rules)-2)
	allowing := a.directives("http_access", "allow")
	if !slices.Equal(rules[end:], last) || len(allowing) != 1 {
		return a.inImage("squid.conf", "http_access: ends in %q, want %q and no other that allows", rules[end:], last)
	}
	for _, rule := range before {
		if !slices.Contains(rules[:end], rule) {
			return a.inImage("squid.conf", "http_access %s: is missing", rule)
		}
	}
	return nil
}

// final returns the last argument of an instruction in the Dockerfile's last stage.
func (a *Assembly) final(instruction string) (last string) {
	for _, line := range a.dockerfile {
		if line[0] == "FROM" {
			last = ""
		} else if line[0] == instruction {
			last = strings.Trim(strings.Join(line[1:], " "), `[]"`)
		}
	}
	return last
}

// imageUser: the image runs as the task definition says by itself, and writes where the task
// has its volume.
func imageUser(a *Assembly) *Finding {
	if user := a.final("USER"); !regexp.MustCompile(`^[1-9]\d*:[1-9]\d*$`).MatchString(user) {
		return a.inImage("Dockerfile", "USER: is %q, want the numbers of an unprivileged user and group", user)
	}
	return all(is(task, box+"MountPoints.0.ContainerPath", a.final("VOLUME")), is(task, box+"MountPoints.1", nil))(a)
}

func healthCommand(a *Assembly) *Finding {
	program := a.final("WORKDIR") + "/entrypoint"
	if got := a.final("ENTRYPOINT"); got != program {
		return a.inImage("Dockerfile", "ENTRYPOINT: is %q, want %q", got, program)
	}
	return is(task, box+"HealthCheck.Command", []string{"CMD", program, "health"})(a)
}

// oneArchitecture: the task, the image and its program are for one processor.
func oneArchitecture(a *Assembly) *Finding {
	family, platform, machine := "X86_64", "linux/amd64", elf.EM_X86_64
	if a.Params.Architecture == params.ARM64 {
		family, platform, machine = "ARM64", "linux/arm64", elf.EM_AARCH64
	}
	if got := a.images[0].Source.Platform; got != platform {
		return a.inManifest("platform: is %q, want %q", got, platform)
	}
	if program, err := elf.NewFile(bytes.NewReader(a.program)); err != nil || program.Machine != machine {
		return a.inImage("entrypoint", "is no program for %s", machine)
	}
	return all(is(task, "RuntimePlatform.CpuArchitecture", family),
		is(task, "RuntimePlatform.OperatingSystemFamily", "LINUX"))(a)
}

// imagePublished: the task runs the one image that the CDK CLI builds from the assembly and
// pushes.
func imagePublished(a *Assembly) *Finding {
	if len(a.images) != 1 || len(a.images[0].Destinations) != 1 {
		return a.inManifest("dockerImages: there are %d, want one that is pushed", len(a.images))
	}
	end := ""
	for _, to := range a.images[0].Destinations {
		end = "/" + sub(to.RepositoryName) + ":" + to.ImageTag
	}
	return matches(task, box+"Image", `^[^/]+\.dkr\.ecr\.[^/]+`+regexp.QuoteMeta(end)+`$`)(a)
}

// credential matches text that looks like one, or like a reference that puts one into a template.
var credential = regexp.MustCompile(`(?i)\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|-----BEGIN [A-Z ]*PRIVATE KEY-----|` +
	`\{\{resolve:|\bgh[pousr]_[A-Za-z0-9]{36}|\bgithub_pat_|\bglpat-|\bsk-[A-Za-z0-9_-]{20,}|\bxox[abps]-|` +
	`\beyJ[A-Za-z0-9_-]{10,}\.eyJ|://[^/\s:@⟨"]+:[^/\s@⟨"]+@|\b[0-9a-f]{32}\b|` +
	`(?:password|passwd|pwd|passphrase|secret|token|api_?key)(?:_\w+)?["']?\s*[:=]\s*["']?[^\s"'⟨{$\[]{6,}`)

// noCredential looks at every text of the assembly but the password file, which is there for
// hashes.
func noCredential(a *Assembly) *Finding {
	var found *Finding
	for _, t := range a.all(task) {
		for name, value := range pairs(t.value(box + "Environment")) {
			if name != "SQUIDFLEET_CREDENTIALS" && credential.MatchString(name+"="+fmt.Sprint(value)) {
				return t.wrong("Environment: %s looks like a credential; hand it over from Secrets Manager", name)
			}
		}
	}
	err := fs.WalkDir(a.files, ".", func(name string, entry fs.DirEntry, err error) error {
		inImage := strings.HasPrefix(name, a.ImageDirectory()+"/")
		other := name == a.ImageDirectory()+"/passwords" || name == a.ImageDirectory()+"/entrypoint"
		if err != nil || found != nil || entry.IsDir() || other || strings.Contains(name, "/") && !inImage {
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
	if found != nil {
		return found
	}
	return all(is(secret, "SecretString", nil),
		matches(secret, "GenerateSecretString.PasswordLength", `^(3[2-9]|[4-9]\d|1[01]\d|12[0-8])$`))(a)
}
