package stacks_test

import (
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"squidfleet/internal/cdkcontext"
	"squidfleet/internal/must"
	"squidfleet/internal/synthtest"
)

// The context keys of the lookups of the imported VPC.
var (
	vpcKey  = cdkcontext.VPCKey(cdkcontext.Region, cdkcontext.VPC)
	ipv6Key = cdkcontext.IPv6Key(cdkcontext.Region, cdkcontext.VPC)
)

// imported returns the changes with which the fleet runs in an existing VPC.
func imported(changes map[string]any) map[string]any { return with(changes, "vpcId", cdkcontext.VPC) }

func TestTasksRefuseEveryRangeOfAnImportedVPC(t *testing.T) {
	conf, err := filepath.Glob(filepath.Join(synth(t, imported(nil)).dir, "asset.*", "squid.conf"))
	if err != nil || len(conf) != 1 {
		t.Fatalf("squid.conf %v, %v", conf, err)
	}
	text, err := os.ReadFile(conf[0])
	must.OK(t, err)
	var forbidden []netip.Prefix
	for line := range strings.Lines(string(text)) {
		if block, is := strings.CutPrefix(line, "acl forbidden dst "); is {
			forbidden = append(forbidden, netip.MustParsePrefix(strings.TrimSpace(block)))
		}
	}
	// Of the first range, of a further one, of a private subnet with public addresses, and of IPv6.
	for _, address := range []string{"10.20.3.4", "10.21.0.5", "203.0.114.9", "2600:1f18::5"} {
		inside := func(p netip.Prefix) bool { return p.Contains(netip.MustParseAddr(address)) }
		if !slices.ContainsFunc(forbidden, inside) {
			t.Errorf("%s is inside the VPC and not forbidden as a destination", address)
		}
	}
}

func TestAPlaceThatDoesNotFitIsRefusedInOneLine(t *testing.T) {
	withSubnets := func(kind string) map[string]any {
		lookup := maps.Clone(cdkcontext.Lookups(cdkcontext.Region)[vpcKey].(map[string]any))
		lookup["subnetGroups"] = []any{map[string]any{"name": kind, "type": kind, "subnets": []any{map[string]any{
			"subnetId": "subnet-0c000001", "availabilityZone": cdkcontext.Region + "a",
			"routeTableId": "rtb-0123456789abcdef0", "cidr": "10.20.9.0/24"}}}}
		return imported(only(vpcKey, lookup))
	}
	failed := func(why string) map[string]any { return only("$providerError", why) }
	const id = `"` + cdkcontext.VPC + `"`
	const lookup = `vpcId: looking up ` + id + ` in account ` + cdkcontext.Account +
		` and region ` + cdkcontext.Region + ` failed: `
	for _, c := range []struct {
		name    string
		changes map[string]any
		want    string
	}{
		{"no public subnet", withSubnets("Private"), `vpcId: ` + id + ` has no public subnet`},
		{"one zone", withSubnets("Public"), `vpcId: ` + id + ` has public subnets in one zone only (eu-west-1a)`},
		{"IPv6 clients", map[string]any{"vpcId": cdkcontext.WideVPC, "clientCidrs": "2001:db8::/48"},
			`clientCidrs: holds IPv6 addresses, which cannot reach VPC "` + cdkcontext.WideVPC + `"`},
		{"a subnet without IPv6", map[string]any{"vpcId": cdkcontext.VPC, "clientCidrs": "2001:db8::/48",
			cdkcontext.SubnetKey(cdkcontext.Region, "subnet-0b000001"): []any{map[string]any{"Identifier": "x"}}},
			`clientCidrs: holds IPv6 addresses, which cannot reach VPC ` + id + `: give subnet-0b000001 IPv6`},
		{"no permission to read a subnet", map[string]any{"vpcId": cdkcontext.VPC, "clientCidrs": "2001:db8::/48",
			cdkcontext.SubnetKey(cdkcontext.Region, "subnet-0b000001"): failed("no permission")},
			`vpcId: looking up the subnets of ` + id + ` failed: no permission; give`},
		{"zones elsewhere", only("zones", "us-east-1a,us-east-1b"),
			"zones: are in us-east-1, and the fleet would go to eu-west-1; "},
		{"a certificate elsewhere", only("certificateArn", strings.Replace(certificate, "eu-west-1", "us-east-1", 1)),
			"certificateArn: is in us-east-1, and the fleet would go to eu-west-1; give a certificate of "},
		{"a topic elsewhere", only("alarmTopicArn", "arn:aws-cn:sns:cn-north-1:123456789012:alarms"),
			"alarmTopicArn: is in cn-north-1, and the fleet would go to eu-west-1; give a topic of that region, "},
		{"no such VPC", imported(map[string]any{vpcKey: failed("no VPC matches {}"), ipv6Key: failed("not\n found")}),
			lookup + "no VPC matches {}; not found; give"},
		{"the same reason twice", imported(map[string]any{vpcKey: failed("no login"), ipv6Key: failed("no login")}),
			lookup + "no login; give"},
		{"the IPv6 ranges only", imported(only(ipv6Key, failed("no permission"))), lookup + "no permission; give"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "out")
			_, _, err := synthtest.Add(t, dir, cdkcontext.Case{Changes: c.changes})
			if err == nil || !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q, want %q…", err, c.want)
			}
			if written := cdkcontext.Files(t, dir); len(written) > 0 {
				t.Errorf("written: %v", slices.Sorted(maps.Keys(written)))
			}
		})
	}
}

// The subnets of IPv6 clients are known when the VPC has been looked up. The CLI is asked a second
// time then.
func TestNothingIsStagedUntilTheVPCIsLookedUp(t *testing.T) {
	const unknown = "vpc-00000000000000000"
	subnets := cdkcontext.SubnetKey(cdkcontext.Region, "subnet-0b000001")
	for _, c := range []struct {
		changes map[string]any
		asked   []string
	}{
		{only("vpcId", unknown),
			[]string{cdkcontext.VPCKey(cdkcontext.Region, unknown), cdkcontext.IPv6Key(cdkcontext.Region, unknown)}},
		{imported(map[string]any{"clientCidrs": "2001:db8::/48", subnets: nil}), []string{subnets}},
	} {
		dir := filepath.Join(t.TempDir(), "out")
		synthtest.Synth(t, dir, cdkcontext.Case{Changes: c.changes})
		if images, _ := filepath.Glob(filepath.Join(dir, "asset.*")); len(images) > 0 {
			t.Errorf("staged %v", images)
		}
		manifest := cdkcontext.Files(t, dir)["manifest.json"]
		for _, key := range c.asked {
			if !strings.Contains(manifest, `"`+key+`"`) {
				t.Errorf("the CLI is not asked for %s", key)
			}
		}
	}
}
