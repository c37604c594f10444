package gate

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"squidfleet/internal/cdkcontext"
	"squidfleet/internal/check"
	"squidfleet/internal/must"
	"squidfleet/params"
)

// TestPromisesStandInTheDocuments: nobody takes a promise out of a document while the check still
// keeps it, and a fault shows what each is good for.
func TestPromisesStandInTheDocuments(t *testing.T) {
	words := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	for _, p := range load(t, assembly(t, "default")).Promises() {
		text, err := os.ReadFile(filepath.Join(root, p.Document))
		if err != nil || !strings.Contains(words(string(text)), words(p.Sentence)) {
			t.Errorf("promise %s: %s does not say %q; %v", p.Name, p.Document, p.Sentence, err)
		}
		if !slices.ContainsFunc(faults, func(f fault) bool { return f.promise == p.Name }) {
			t.Errorf("promise %s: no fault shows what it is good for", p.Name)
		}
	}
}

const aCertificate = "arn:aws:acm:eu-west-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef"

// variants are values of parameters by name. Those that are not here have the values of the cases.
var variants = map[string][]any{
	"activeHours": {"always", "mon-fri 07:00-19:30", "sun,fri 22:15-06:00"}, "addressPorts": {"true", "false"},
	"alarmEmail": {"", "", "ops@example.com"}, "alarmTopicArn": {"", "arn:aws:sns:eu-west-1:123456789012:alarms"},
	"allowAnyClient": {"false", "true"}, "allowPlaintextBasic": {"true", "true", "false"},
	"allowedDomains":      {"", ".example.com,example.org"},
	"allowedPrivateCidrs": {"", "172.20.0.0/16", "192.168.7.0/24,fd00::/48"}, "architecture": {"x86_64", "arm64"},
	"auth": {"digest", "basic", "any", "none"}, "blockedCidrs": {"", "8.8.8.0/24,2600::/16"},
	"blockedDomains": {"", "a.example.com,.example.net"}, "certificateArn": {"", "", aCertificate},
	"clientCidrs":          {"203.0.113.0/24", "192.0.2.1/32,2001:db8::/32", "10.0.0.0/8"},
	"clientSecurityGroups": {"", "", "sg-0a1b2c3d,sg-4e5f6a7b"},
	"connectPorts":         {"443,80", "", "443", "443,444,563,80"}, "cpu": {"256", "1024"},
	"credentials": {"secretsmanager", "image"}, "dashboard": {"true", "false"}, "digest": {"fleet", "squid"},
	"domainName": {"", "proxy.example.com"}, "drainTimeout": {"0s", "2m", "14m", "95s"},
	"endpoint": {"public", "public", "internal"}, "fleetSize": {"1", "2", "7", "49", "50"},
	"hostedZoneId": {"", "Z0123456789ABCDEFGHIJ"}, "httpPorts": {"80", "", "80,81,8080"},
	"idleTimeout": {"350s", "60s", "6000s"}, "listenerPort": {"35201", "1024", "65535"},
	"logRetentionDays": {"1", "30", "3653"}, "memory": {"512", "2048", "8192"}, "metrics": {"true", "false"},
	"privateLinkPrincipals": {"", "", "arn:aws:iam::111122223333:root"}, "realm": {"squidfleet", "Two Words (x)"},
	"rotateEvery": {"off", "1h", "30m", "1d", "7d"}, "spotShare": {"0", "33", "50", "100"},
	"stackName": {"Squidfleet", "x", "A-Long-Name-2"}, "tags": {"", "team=crawlers,cost centre=a=b"},
	"timezone": {"UTC", "America/New_York", "Asia/Kolkata"},
	"users":    {"proxy", "alice,bob", "alice,b.o-b,c+d@e.f", "a1"},
	"vpcCidr":  {"10.0.0.0/16", "172.31.0.0/20", "192.168.0.0/22"},
	"vpcId":    {"", "", cdkcontext.VPC, cdkcontext.WideVPC}, "zones": {"", "eu-west-1c,eu-west-1a"},
}

// TestPromises: the check has nothing to say about fleets of all kinds, and each promise finds
// faults that nothing else finds. One validation judges the templates of all, because it starts
// slowly.
func TestPromises(t *testing.T) {
	t.Parallel() // with TestMakeCheck, which runs other processes
	var templates []string
	names := map[string]string{} // of faults, by their templates
	dir := t.TempDir()
	t.Run("parameters of all kinds", func(t *testing.T) { templates = parametersOfAllKinds(t) })
	t.Run("faults", func(t *testing.T) {
		for i, f := range faults {
			right := assembly(t, cmp.Or(f.fleet, "default"))
			files, broken := edited(t, right, f.edits...), ""
			findings := load(t, files).Broken()
			for _, found := range findings {
				broken += found.Rule
			}
			if broken != f.promise {
				t.Errorf("%s: %v, want one finding of promise %q", f.name, findings, f.promise)
			}
			for name, file := range files {
				if strings.HasSuffix(name, ".template.json") && right[name] != file {
					path := filepath.Join(dir, fmt.Sprintf("%d.template.json", i))
					must.OK(t, os.WriteFile(path, file.Data, 0o600))
					names[filepath.Base(path)] = f.name
					templates = append(templates, path)
				}
			}
		}
	})
	findings, err := check.Validate(t.Context(), root, "", "", templates...)
	must.OK(t, err)
	for _, f := range findings {
		t.Errorf("%s: AWS finds %s", cmp.Or(names[f.File], "no fault"), f)
	}
}

// parametersOfAllKinds judges twenty fleets, those of the golden templates and random ones, and
// returns their templates. It synthesises four of them again, and other tests two.
func parametersOfAllKinds(t *testing.T) (templates []string) {
	defaults, err := cdkcontext.Case{}.Context()
	must.OK(t, err)
	for _, key := range params.Keys() {
		if variants[key] != nil {
			continue
		}
		variants[key] = []any{defaults[key]}
		for _, c := range cdkcontext.Cases {
			if value, is := c.Changes[key]; is {
				variants[key] = append(variants[key], value)
			}
		}
		if len(variants[key]) < 2 {
			t.Errorf("no case of cdkcontext has another %s than the default", key)
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	for tried := 0; len(cases) < 20 && tried < 10_000; tried++ {
		changes := map[string]any{}
		for _, key := range slices.Sorted(maps.Keys(variants)) {
			changes[key] = variants[key][random.IntN(len(variants[key]))]
		}
		if changes["vpcId"] != "" {
			changes["vpcCidr"], changes["zones"] = "10.0.0.0/16", ""
		}
		if changes["vpcId"] == cdkcontext.WideVPC { // which has no IPv6 addresses
			changes["clientCidrs"] = "198.51.100.0/24"
		}
		c := cdkcontext.Case{Changes: changes}
		context, err := c.Context()
		must.OK(t, err)
		if _, err := params.Parse(context); err == nil {
			cases[fmt.Sprintf("random%d", tried)] = c
		}
	}
	// squid.conf has ::/0 in pieces, without IPv4-mapped addresses.
	cases["everybody"] = cdkcontext.Case{Changes: map[string]any{
		"clientCidrs": "0.0.0.0/0,::/0", "allowAnyClient": "true", "fleetSize": "1"}}
	if len(cases) < 20 {
		t.Error("too few sets of parameters are right")
	}
	for set, c := range cases {
		files := assembly(t, set)
		findings := load(t, files).Broken()
		if slices.Contains([]string{"everything", "imported", "china", "govcloud"}, set) {
			findings = judge(t, files)
		}
		for _, f := range findings {
			t.Errorf("%s %v: %s", set, c.Changes, f)
		}
		found, _ := filepath.Glob(filepath.Join(directory(set), "*.template.json")) // the pattern is right
		templates = append(templates, found...)
	}
	return templates
}

// judge is the whole check but for AWS's validation.
func judge(t *testing.T, files fstest.MapFS, given ...string) []check.Finding {
	t.Helper()
	a, findings := check.Read(files, lookups)
	if len(findings) > 0 {
		return findings
	}
	findings, err := a.Judge(t.Context(), check.Options{Root: root, Context: "cdk.context.json", Environment: given})
	must.OK(t, err)
	return findings
}
