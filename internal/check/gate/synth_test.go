// Package gate holds the tests of the way from parameters to an assembly that may be deployed: the checks pass on what the CDK app synthesises, fail on every fault that is injected into
// it, and the templates change only when somebody means them to. They need Node.js and the npm packages.
package gate

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"squidfleet/internal/check"
	"squidfleet/params"
	"squidfleet/squid"
	"squidfleet/stacks"
)

const root = "../../.."

var update = flag.Bool("update", false, "write the golden templates anew")

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	flag.Parse()
	bin, err := filepath.Abs(root + "/node_modules/.bin")
	if err == nil {
		_, err = os.Stat(filepath.Join(bin, "cdk"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "the npm packages are missing: run npm ci:", err)
		return 1
	}
	// The Node.js that the CDK is tested with comes first.
	os.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	if scratch, err = os.MkdirTemp("", "squidfleet-gate-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(scratch)
	defer stacks.Close()
	return m.Run()
}

// scratch is where the tests write.
var scratch string

// Where the imported VPC is.
const (
	account = "123456789012"
	region  = "eu-west-1"
	vpc     = "vpc-0123456789abcdef0"
	wide    = "vpc-0fedcba9876543210" // in three zones
)

// lookups is what the CDK CLI keeps after it has looked the imported VPCs up. All of it stands in the file of each fleet.
var lookups = map[string]any{
	vpcKey(vpc): foundVPC(vpc,
		foundSubnet("subnet-0a000001", "a", "10.20.0.0/24"), foundSubnet("subnet-0a000002", "a", "10.20.1.0/24"), foundSubnet("subnet-0b000001", "b", "10.21.0.0/24")),
	vpcKey(wide): foundVPC(wide,
		foundSubnet("subnet-0a000003", "a", "10.20.0.0/24"), foundSubnet("subnet-0b000003", "b", "10.20.1.0/24"), foundSubnet("subnet-0c000003", "c", "10.20.2.0/24"),
		foundSubnet("subnet-0d000001", "a", "10.20.3.0/24")),
	ipv6Key(vpc):  []any{map[string]any{"Ipv6CidrBlocks": []any{"2600:1f18::/56"}, "Identifier": vpc}},
	ipv6Key(wide): []any{map[string]any{"Ipv6CidrBlocks": []any{}, "Identifier": wide}},
}

func vpcKey(id string) string {
	return "vpc-provider:account=" + account + ":filter.vpc-id=" + id + ":region=" + region + ":returnAsymmetricSubnets=true:returnVpnGateways=false"
}

func ipv6Key(id string) string {
	return "cc-api-provider:account=" + account + ":exactIdentifier=" + id + ":propertiesToReturn.0=Ipv6CidrBlocks:region=" + region + ":typeName=AWS$:$:EC2$:$:VPC"
}

// foundVPC is a VPC with public subnets and a private one.
func foundVPC(id string, public ...any) map[string]any {
	return map[string]any{
		"vpcId": id, "vpcCidrBlock": "10.20.0.0/16", "ownerAccountId": account, "availabilityZones": []any{},
		"subnetGroups": []any{
			map[string]any{"name": "Public", "type": "Public", "subnets": public},
			map[string]any{"name": "Private", "type": "Private", "subnets": []any{foundSubnet("subnet-0c000001", "a", "10.22.0.0/24")}},
		},
	}
}

func foundSubnet(id, zone, cidr string) any {
	return map[string]any{"subnetId": id, "availabilityZone": region + zone, "routeTableId": "rtb-0123456789abcdef0", "cidr": cidr}
}

// sets are the sets of parameters that stand for all.
var sets = map[string]map[string]any{
	"default": nil,
	"everything": {
		"stackName": "Full", "clientCidrs": []any{"198.51.100.0/24", "192.0.2.7/32", "2001:db8:1::/48"}, "users": []any{"alice", "bob", "c.d"}, "realm": "Squid Fleet (test)",
		"listenerPort": 40000.0, "httpPorts": []any{80.0, 8080.0}, "connectPorts": []any{443.0, 8443.0, 8444.0}, "blockedCidrs": []any{"8.8.8.0/24"}, "allowedPrivateCidrs": []any{"172.20.0.0/16"},
		"fleetSize": 10.0, "cpu": 1024.0, "memory": 4096.0, "architecture": "arm64", "spotShare": 30.0, "rotateEvery": "1d", "drainTimeout": "5m", "vpcCidr": "10.99.0.0/20",
		"logRetentionDays": 365.0, "timezone": "Asia/Tokyo",
		"aws:cdk:enable-path-metadata": true, // as the CDK CLI has it
	},
	"imported": {"stackName": "Imported", "vpcId": vpc, "clientCidrs": []any{"198.51.100.0/24", "2001:db8:1::/48"}},
	"zones":    {"stackName": "Zones", "vpcId": wide, "clientCidrs": []any{"198.51.100.0/24"}},
	"image":    {"credentials": "image", "users": []any{"alice", "bob"}, "rotateEvery": "off"},
	"spot":     {"spotShare": 100.0, "fleetSize": 3.0, "rotateEvery": "90m", "connectPorts": []any{}, "digest": "squid"},
}

// cdkContext returns cdk.json's context with a set's changes, and the lookups if it has use for them.
func cdkContext(t *testing.T, set string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(root + "/cdk.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Context map[string]any }
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	maps.Copy(file.Context, sets[set])
	if sets[set]["vpcId"] != nil {
		maps.Copy(file.Context, lookups)
	}
	return file.Context
}

// build adds a set's fleet to an app that writes to dir.
func build(t *testing.T, set, dir string) (*stacks.App, *params.Params) {
	t.Helper()
	context := cdkContext(t, set)
	p, err := params.Parse(context)
	if err != nil {
		t.Fatal(err)
	}
	fleet := stacks.Input{Params: p, Account: account, Region: region}
	if p.Credentials == "image" {
		for _, user := range p.Users {
			fleet.Passwords = append(fleet.Passwords, squid.Credential{User: user, Password: "a password of " + user})
		}
	}
	app, err := stacks.NewApp(dir, context)
	if err != nil {
		t.Fatal(err)
	}
	if err := fleet.Add(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	return app, p
}

// synthesise writes a set's assembly, and beside it what the CDK CLI keeps.
func synthesise(t *testing.T, set, parent string) (dir, contextFile string) {
	t.Helper()
	dir, contextFile = filepath.Join(parent, "cdk.out"), filepath.Join(parent, "cdk.context.json")
	app, p := build(t, set, dir)
	if err := app.Synth(); err != nil {
		t.Fatal(err)
	}
	if p.VpcID != "" {
		text, err := json.Marshal(lookups)
		if err == nil {
			err = os.WriteFile(contextFile, text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir, contextFile
}

var synthesised = map[string]string{}

// parentOf returns the directory with a set's assembly, which is synthesised once.
func parentOf(t *testing.T, set string) string {
	t.Helper()
	if synthesised[set] == "" {
		parent := filepath.Join(scratch, set)
		if err := os.Mkdir(parent, 0o700); err != nil {
			t.Fatal(err)
		}
		synthesise(t, set, parent)
		synthesised[set] = parent
	}
	return synthesised[set]
}

// load reads a set's assembly, in which nothing is wrong.
func load(t *testing.T, set string) *check.Assembly {
	t.Helper()
	a, findings := loadFrom(parentOf(t, set))
	for _, f := range findings {
		t.Errorf("%s: %s", set, f)
	}
	return a
}

func loadFrom(parent string) (*check.Assembly, []check.Finding) {
	return check.Load(filepath.Join(parent, "cdk.out"), filepath.Join(parent, "cdk.context.json"))
}
