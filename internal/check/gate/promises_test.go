package gate

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"squidfleet/internal/cdkcontext"
	"squidfleet/internal/check"
	"squidfleet/params"
)

// TestPromisesStandInTheDocuments: nobody takes a promise out of a document while the check
// still keeps it.
func TestPromisesStandInTheDocuments(t *testing.T) {
	for _, p := range load(t, assembly(t, "default")).Promises() {
		text, err := os.ReadFile(filepath.Join(root, p.Document))
		if err != nil {
			t.Error(err)
		}
		words := func(s string) string { return strings.Join(strings.Fields(s), " ") }
		if !strings.Contains(words(string(text)), words(p.Sentence)) {
			t.Errorf("promise %s: %s does not say %q", p.Name, p.Document, p.Sentence)
		}
	}
}

const aCertificate = "arn:aws:acm:eu-west-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef"

// variants are values of each parameter.
var variants = map[string][]any{
	"stackName": {"Squidfleet", "x", "A-Long-Name-2"}, "allowAnyClient": {"false", "true"},
	"clientCidrs": {"203.0.113.0/24", "192.0.2.1/32,2001:db8::/32", "10.0.0.0/8"},
	"users":       {"proxy", "alice,bob", "alice,b.o-b,c+d@e.f", "a1"}, "realm": {"squidfleet", "Two Words (x)"},
	"auth": {"digest", "basic", "any", "none"}, "allowPlaintextBasic": {"true", "true", "false"},
	"digest": {"fleet", "squid"}, "credentials": {"secretsmanager", "image"}, "cpu": {"256", "1024"},
	"listenerPort": {"35201", "1024", "65535"}, "addressPorts": {"true", "false"},
	"httpPorts":      {"80", "", "80,81,8080"},
	"connectPorts":   {"443,80", "", "443", "443,444,563,80"},
	"allowedDomains": {"", ".example.com,example.org"}, "blockedDomains": {"", "a.example.com,.example.net"},
	"blockedCidrs": {"", "8.8.8.0/24,2600::/16"}, "fleetSize": {"1", "2", "7", "49", "50"},
	"allowedPrivateCidrs": {"", "172.20.0.0/16", "192.168.7.0/24,fd00::/48"}, "memory": {"512", "2048", "8192"},
	"architecture": {"x86_64", "arm64"}, "spotShare": {"0", "33", "50", "100"},
	"rotateEvery": {"off", "1h", "30m", "1d", "7d"}, "drainTimeout": {"0s", "2m", "14m", "95s"},
	"activeHours": {"always", "mon-fri 07:00-19:30", "sun,fri 22:15-06:00"},
	"idleTimeout": {"350s", "60s", "6000s"}, "zones": {"", "eu-west-1c,eu-west-1a"},
	"tags":    {"", "team=crawlers,cost centre=a=b"},
	"vpcCidr": {"10.0.0.0/16", "172.31.0.0/20", "192.168.0.0/22"},
	"vpcId":   {"", "", cdkcontext.VPC, cdkcontext.WideVPC}, "logRetentionDays": {"1", "30", "3653"},
	"endpoint": {"public", "public", "internal"}, "clientSecurityGroups": {"", "", "sg-0a1b2c3d,sg-4e5f6a7b"},
	"privateLinkPrincipals": {"", "", "arn:aws:iam::111122223333:root"}, "certificateArn": {"", "", aCertificate},
	"domainName": {"", "proxy.example.com"}, "hostedZoneId": {"", "Z0123456789ABCDEFGHIJ"},
	"alarmEmail":    {"", "", "ops@example.com"},
	"alarmTopicArn": {"", "arn:aws:sns:eu-west-1:123456789012:alarms"},
	"dashboard":     {"true", "false"},
	"timezone":      {"UTC", "America/New_York", "Asia/Kolkata"}, "metrics": {"true", "false"},
}

// TestPromises: the check has nothing to say about fleets of all kinds, nor about what a user adds,
// and each promise finds faults that nothing else finds. One validation judges the templates of all,
// because it starts slowly.
func TestPromises(t *testing.T) {
	var templates []string
	names := map[string]string{} // of faults, by their templates
	dir := t.TempDir()
	t.Run("parameters of all kinds", func(t *testing.T) { templates = parametersOfAllKinds(t, dir) })
	t.Run("additions", func(t *testing.T) {
		if findings := load(t, edited(t, assembly(t, "default"), additions...)).Broken(); len(findings) > 0 {
			t.Error(findings)
		}
	})
	t.Run("faults", func(t *testing.T) {
		unshown := map[string]bool{}
		for _, p := range load(t, assembly(t, "default")).Promises() {
			unshown[p.Name] = true
		}
		for i, f := range faults {
			right := assembly(t, cmp.Or(f.fleet, "default"))
			files := edited(t, right, f.edits...)
			if findings := load(t, files).Broken(); len(findings) != 1 || findings[0].Rule != f.promise {
				t.Errorf("%s: %v, want one finding of promise %s", f.name, findings, f.promise)
			}
			delete(unshown, f.promise)
			for name, file := range files {
				if strings.HasSuffix(name, ".template.json") && right[name] != file {
					path := filepath.Join(dir, fmt.Sprintf("%d.template.json", i))
					if err := os.WriteFile(path, file.Data, 0o600); err != nil {
						t.Fatal(err)
					}
					names[filepath.Base(path)] = f.name
					templates = append(templates, path)
				}
			}
		}
		if len(unshown) > 0 {
			t.Errorf("no fault shows what promises are good for: %v", unshown)
		}
	})
	findings, err := check.Validate(t.Context(), root, "", "", templates...)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		t.Errorf("%s: AWS finds %s", cmp.Or(names[f.File], "no fault"), f)
	}
}

// parametersOfAllKinds judges twenty fleets, those of the golden templates and random ones, and
// returns their templates. It synthesises four of them again, and other tests two.
func parametersOfAllKinds(t *testing.T, parent string) (templates []string) {
	for _, declared := range params.Declarations() {
		if len(variants[declared.Key]) < 2 {
			t.Errorf("parameter %s has no variants", declared.Key)
		}
	}
	judged := 0
	pass := func(name, dir string, files fstest.MapFS, findings []check.Finding) {
		judged++
		for _, f := range findings {
			t.Errorf("%s: %s", name, f)
		}
		for name := range files {
			if strings.HasSuffix(name, ".template.json") {
				templates = append(templates, filepath.Join(dir, name))
			}
		}
	}
	for set := range cdkcontext.Cases {
		files := assembly(t, set)
		findings := load(t, files).Broken()
		if slices.Contains([]string{"everything", "imported", "china", "govcloud"}, set) {
			findings = judge(t, files)
		}
		pass(set, directory(set), files, findings)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for tried := 0; judged < 20 && tried < 10_000; tried++ {
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
		if err != nil {
			t.Fatal(err)
		}
		if _, err := params.Parse(context); err == nil {
			dir := filepath.Join(parent, strconv.Itoa(tried))
			files := synth(t, dir, c)
			pass(fmt.Sprint(changes), dir, files, load(t, files).Broken())
		}
	}
	if judged < 20 {
		t.Error("too few sets of parameters are right")
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
	if err != nil {
		t.Fatal(err)
	}
	return findings
}
