package stacks

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const importedID = "vpc-0123456789abcdef0"

// importedSubnets are those of the VPC that the tests import, by id.
var importedSubnets = map[string]netip.Prefix{
	"subnet-0a000001": netip.MustParsePrefix("10.20.0.0/24"),
	"subnet-0a000002": netip.MustParsePrefix("10.20.1.0/24"), // a second one in the same zone
	"subnet-0b000001": netip.MustParsePrefix("10.21.0.0/24"), // outside the VPC's first range
	"subnet-0c000001": netip.MustParsePrefix("203.0.114.0/24"),
}

// imported returns the context with which the CDK CLI runs the app once it has looked up a VPC. The ranges in it are of a VPC with public, registered addresses, which Squid would not
// refuse by itself.
func imported(changes map[string]any) map[string]any {
	subnet := func(id, zone string) map[string]any {
		return map[string]any{"subnetId": id, "availabilityZone": region + zone, "routeTableId": "rtb-0123456789abcdef0", "cidr": importedSubnets[id].String()}
	}
	context := map[string]any{
		"vpcId": importedID,
		vpcKey: map[string]any{
			"vpcId": importedID, "vpcCidrBlock": "10.20.0.0/16", "ownerAccountId": account, "availabilityZones": []any{},
			"subnetGroups": []any{
				map[string]any{"name": "Public", "type": "Public", "subnets": []any{subnet("subnet-0a000001", "a"), subnet("subnet-0a000002", "a"), subnet("subnet-0b000001", "b")}},
				map[string]any{"name": "Private", "type": "Private", "subnets": []any{subnet("subnet-0c000001", "a")}},
			},
		},
		ipv6Key: []any{map[string]any{"Ipv6CidrBlocks": []any{"2600:1f18::/56"}, "Identifier": importedID}},
	}
	maps.Copy(context, changes)
	return context
}

// The keys under which the CDK CLI keeps what it looked up.
const (
	vpcKey  = "vpc-provider:account=" + account + ":filter.vpc-id=" + importedID + ":region=" + region + ":returnAsymmetricSubnets=true:returnVpnGateways=false"
	ipv6Key = "cc-api-provider:account=" + account + ":exactIdentifier=" + importedID + ":propertiesToReturn.0=Ipv6CidrBlocks:region=" + region + ":typeName=AWS$:$:EC2$:$:VPC"
)

func TestImportedVpcTakesOnePublicSubnetAZone(t *testing.T) {
	a := synth(t, imported(nil))
	if len(a.network.Resources) != 0 {
		t.Error("there is a network stack")
	}
	const want = `["subnet-0a000001", "subnet-0b000001"]`
	_, balancer := a.proxy.only(t, "AWS::ElasticLoadBalancingV2::LoadBalancer")
	equal(t, "the load balancer's subnets", balancer["Subnets"], want)
	_, service := a.proxy.only(t, "AWS::ECS::Service")
	equal(t, "the tasks' subnets", service["NetworkConfiguration"].(map[string]any)["AwsvpcConfiguration"].(map[string]any)["Subnets"], want)
	for _, r := range a.proxy.Resources {
		if vpc, has := r.Properties["VpcId"]; has && vpc != importedID {
			t.Errorf("a %s is in VPC %v", r.Type, vpc)
		}
	}
}

func TestTasksRefuseEveryRangeOfAnImportedVpc(t *testing.T) {
	forbidden := aclValues(t, synth(t, imported(nil)).file(t, "squid.conf"), "forbidden", "dst")
	for _, address := range []string{"10.20.3.4", "10.21.0.5", "203.0.114.9", "2600:1f18::5"} {
		if !slices.ContainsFunc(forbidden, func(p netip.Prefix) bool { return p.Contains(netip.MustParseAddr(address)) }) {
			t.Errorf("%s is inside the VPC, and not forbidden as a destination", address)
		}
	}
}

func TestImportedVpcThatDoesNotFitIsRefusedInOneLine(t *testing.T) {
	withSubnets := func(groups ...any) map[string]any {
		lookup := maps.Clone(imported(nil)[vpcKey].(map[string]any))
		lookup["subnetGroups"] = groups
		return imported(map[string]any{vpcKey: lookup})
	}
	private := map[string]any{"name": "Private", "type": "Private", "subnets": []any{map[string]any{
		"subnetId": "subnet-0c000001", "availabilityZone": region + "a", "routeTableId": "rtb-0123456789abcdef0", "cidr": "10.20.9.0/24"}}}
	public := maps.Clone(private)
	public["type"], public["name"] = "Public", "Public"
	noIPv6 := []any{map[string]any{"Ipv6CidrBlocks": []any{}, "Identifier": importedID}}
	for _, c := range []struct {
		name            string
		context         map[string]any
		account, region string
		want            string
	}{
		{"no account", imported(nil), "", region, `vpcId: looking up "` + importedID + `" needs an account and a region`},
		{"no region", imported(nil), account, "", `vpcId: looking up "` + importedID + `" needs an account and a region`},
		{"no public subnet", withSubnets(private), account, region, `vpcId: "` + importedID + `" has no public subnet`},
		{"one zone", withSubnets(public), account, region, `vpcId: "` + importedID + `" has public subnets in one zone only (eu-west-1a)`},
		{"IPv6 clients", imported(map[string]any{ipv6Key: noIPv6, "clientCidrs": []any{"2001:db8::/48"}}), account, region, `clientCidrs: holds IPv6 addresses, which cannot reach VPC "` + importedID + `"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "out")
			fleet := Input{Params: parse(t, cdkContext(t, c.context)), Account: c.account, Region: c.region}
			err := fleet.Add(t.Context(), newTestApp(t, dir, c.context))
			if err == nil || !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q, want %q…", err, c.want)
			}
			empty(t, dir)
		})
	}
}

// empty fails when there is a file below dir.
func empty(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			t.Errorf("%s was written", path)
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Error(err)
	}
}

func TestNothingIsStagedUntilTheVpcIsLookedUp(t *testing.T) {
	changes := map[string]any{"vpcId": importedID}
	dir := filepath.Join(t.TempDir(), "out")
	app := newTestApp(t, dir, changes)
	fleet := Input{Params: parse(t, cdkContext(t, changes)), Account: account, Region: region}
	if err := fleet.Add(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	if err := app.Synth(); err != nil {
		t.Fatal(err)
	}
	images, _ := filepath.Glob(filepath.Join(dir, "asset.*"))
	if len(images) != 0 {
		t.Errorf("staged %v", images)
	}
	manifest, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{vpcKey, ipv6Key} {
		if !strings.Contains(string(manifest), fmt.Sprintf("%q", key)) {
			t.Errorf("the CLI is not asked for %s", key)
		}
	}
}

func TestAFailedLookupIsAnErrorInOneLine(t *testing.T) {
	failed := func(why string) map[string]any { return map[string]any{"$providerError": why} }
	for _, c := range []struct {
		name    string
		changes map[string]any
		want    string
	}{
		{"no such VPC", map[string]any{vpcKey: failed("Could not find any VPCs matching {}"), ipv6Key: failed("Resource not found:\n it is not there")},
			"Could not find any VPCs matching {}; Resource not found: it is not there; give"},
		{"the same twice", map[string]any{vpcKey: failed("no credentials"), ipv6Key: failed("no credentials")}, "no credentials; give"},
		{"the IPv6 ranges only", map[string]any{ipv6Key: failed("no permission")}, "no permission; give"},
	} {
		t.Run(c.name, func(t *testing.T) {
			context := imported(c.changes)
			fleet := Input{Params: parse(t, cdkContext(t, context)), Account: account, Region: region}
			err := fleet.Add(t.Context(), newTestApp(t, filepath.Join(t.TempDir(), "out"), context))
			want := `vpcId: looking up "` + importedID + `" in account ` + account + ` and region ` + region + ` failed: ` + c.want
			if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q, want %q…", err, want)
			}
		})
	}
}

func TestRangesInsideAnotherAreLeftOut(t *testing.T) {
	parse := func(list ...string) (prefixes []netip.Prefix) {
		for _, p := range list {
			prefixes = append(prefixes, netip.MustParsePrefix(p))
		}
		return prefixes
	}
	got := withoutContained(parse("10.1.2.0/24", "2600::/64", "10.1.0.0/16", "2600::/56", "10.2.0.0/24", "10.1.0.0/16"))
	if want := parse("10.1.0.0/16", "10.2.0.0/24", "2600::/56"); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
