// Package gate holds the tests of the way from parameters to an assembly that may be deployed:
// the templates change only when somebody means them to, and package check passes what the app
// synthesises and finds what is wrong.
package gate

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"squidfleet/internal/check"
	"squidfleet/params"
	"squidfleet/proxyimage"
	"squidfleet/stacks"
)

const root = "../../.."

var update = flag.Bool("update", false, "write the golden templates anew")

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
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
	defer stacks.Close()
	return m.Run()
}

// Where the imported VPCs are.
const (
	account = "123456789012"
	vpc     = "vpc-0123456789abcdef0"
	wide    = "vpc-0fedcba9876543210" // in three zones
	region  = "eu-west-1"
	china   = "cn-north-1"
)

// lookups is what the CDK CLI keeps after it has looked the imported VPCs up.
var lookups = map[string]any{}

func init() {
	for _, region := range []string{region, china} {
		subnet := func(id, zone, cidr string) any {
			return context{"subnetId": id, "availabilityZone": region + zone, "routeTableId": "rtb-1", "cidr": cidr}
		}
		add := func(id string, ipv6 []any, public ...any) {
			key := "account=" + account + ":filter.vpc-id=" + id + ":region=" + region + ":returnAsymmetricSubnets=true"
			lookups["vpc-provider:"+key+":returnVpnGateways=false"] = context{
				"vpcId": id, "vpcCidrBlock": "10.20.0.0/16", "ownerAccountId": account, "availabilityZones": []any{},
				"subnetGroups": []any{
					context{"name": "Public", "type": "Public", "subnets": public},
					context{"name": "Own", "type": "Private", "subnets": []any{subnet("subnet-1", "a", "10.22.0.0/24")}},
				},
			}
			key = "account=" + account + ":exactIdentifier=" + id + ":propertiesToReturn.0=Ipv6CidrBlocks:region="
			key += region + ":typeName=AWS$:$:EC2$:$:VPC"
			lookups["cc-api-provider:"+key] = []any{context{"Ipv6CidrBlocks": ipv6}}
		}
		add(vpc, []any{"2600:1f18::/56"}, subnet("subnet-0a000001", "a", "10.20.0.0/24"),
			subnet("subnet-0a000002", "a", "10.20.1.0/24"), subnet("subnet-0b000001", "b", "10.21.0.0/24"))
		add(wide, []any{}, subnet("subnet-0a000003", "a", "10.20.0.0/24"),
			subnet("subnet-0b000003", "b", "10.20.1.0/24"), subnet("subnet-0c000003", "c", "10.20.2.0/24"),
			subnet("subnet-0d000001", "a", "10.20.3.0/24"))
	}
}

// context is a change of cdk.json's context.
type context = map[string]any

// scattered are more ports than a security group has room for ranges.
func scattered() (ports []any) {
	for i := range 52 {
		ports = append(ports, float64(2000+2*i))
	}
	return ports
}

// sets are the sets of parameters that stand for all.
var sets = map[string]context{
	"default": nil,
	"everything": {
		"stackName": "Full", "clientCidrs": "198.51.100.0/24,192.0.2.7/32,2001:db8:1::/48", "users": "alice,bob,c.d",
		"realm": "Squid Fleet (test)", "listenerPort": "40000", "httpPorts": "80,8080", "connectPorts": "443,8443,8444",
		"blockedCidrs": "8.8.8.0/24", "allowedPrivateCidrs": "172.20.0.0/16", "fleetSize": "10", "cpu": "1024",
		"memory": "4096", "architecture": "arm64", "spotShare": "30", "rotateEvery": "1d", "drainTimeout": "5m",
		"vpcCidr": "10.99.0.0/20", "logRetentionDays": "365", "timezone": "Asia/Tokyo",
		"aws:cdk:enable-path-metadata": true, // as the CDK CLI has it
	},
	"imported": {"stackName": "Imported", "vpcId": vpc, "clientCidrs": "198.51.100.0/24,2001:db8:1::/48"},
	"zones":    {"stackName": "Zones", "vpcId": wide, "clientCidrs": "198.51.100.0/24"},
	"image":    {"credentials": "image", "users": "alice,bob", "rotateEvery": "off"},
	"spot":     {"spotShare": "100", "fleetSize": "3", "rotateEvery": "90m", "connectPorts": "", "digest": "squid"},
	"ports":    {"connectPorts": scattered()},
	"china":    {"stackName": "China", "vpcId": wide, "clientCidrs": "198.51.100.0/24"},
}

// environment holds the passwords of the users of set "image".
var environment = []string{"SQUIDFLEET_PASSWORD_ALICE=a password of alice", "SQUIDFLEET_PASSWORD_BOB=a password of bob"}

// settings returns cdk.json's context with changes, and the lookups.
func settings(t *testing.T, changes context) context {
	t.Helper()
	text, err := os.ReadFile(root + "/cdk.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Context context }
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	maps.Copy(file.Context, lookups)
	maps.Copy(file.Context, changes)
	return file.Context
}

// synth synthesises the fleet of some parameters to dir, whose build context staged may change.
func synth(t *testing.T, dir string, changes context, staged func(string) error) fstest.MapFS {
	t.Helper()
	settings := settings(t, changes)
	p, err := params.Parse(settings)
	if err != nil {
		t.Fatal(err)
	}
	fleet := stacks.Input{Params: p, Account: account, Region: region, Staged: staged}
	if p.StackName == "China" {
		fleet.Region = china
	}
	if fleet.Passwords, err = proxyimage.Passwords(p, environment); err != nil {
		t.Fatal(err)
	}
	app, err := stacks.NewApp(dir, settings)
	if err == nil {
		err = fleet.Add(t.Context(), app)
	}
	if err == nil {
		err = app.Synth()
	}
	if err != nil {
		t.Fatal(err)
	}
	return read(t, dir)
}

// read reads the files below a directory.
func read(t *testing.T, dir string) fstest.MapFS {
	t.Helper()
	files := fstest.MapFS{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		files[name] = &fstest.MapFile{Data: text, Mode: 0o644}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

var synthesised = map[string]fstest.MapFS{}

// assembly returns a copy of a set's assembly, which is synthesised once.
func assembly(t *testing.T, set string) fstest.MapFS {
	t.Helper()
	if synthesised[set] == nil {
		synthesised[set] = synth(t, filepath.Join(t.TempDir(), "cdk.out"), sets[set], nil)
	}
	return maps.Clone(synthesised[set])
}

// TestGoldenTemplates: templates change only when somebody means them to. The image's hash
// alone is left out.
func TestGoldenTemplates(t *testing.T) {
	for _, set := range slices.Sorted(maps.Keys(sets)) {
		files, directory := assembly(t, set), filepath.Join("testdata", "golden", set)
		a := load(t, files)
		hash := strings.TrimPrefix(a.ImageDirectory(), "asset.")
		templates := fstest.MapFS{}
		for name, file := range files {
			if strings.HasSuffix(name, ".template.json") {
				text := bytes.ReplaceAll(file.Data, []byte(hash), []byte("IMAGE-HASH"))
				templates[name] = &fstest.MapFile{Data: append(text, '\n')}
			}
		}
		if *update {
			if err := os.RemoveAll(directory); err != nil {
				t.Fatal(err)
			}
			if err := os.CopyFS(directory, templates); err != nil {
				t.Fatal(err)
			}
		}
		golden := read(t, directory)
		for _, f := range append(check.Compare(templates, golden), check.Compare(golden, templates)...) {
			t.Errorf("%s: %s\nif that is meant, run go test ./internal/check/gate -update and read the diff", set, f)
		}
	}
	if found, err := os.ReadDir("testdata/golden"); err != nil || len(found) != len(sets) {
		t.Errorf("%d golden sets, want %d; %v", len(found), len(sets), err)
	}
}

// load reads an assembly, in which nothing is wrong.
func load(t *testing.T, files fs.FS) *check.Assembly {
	t.Helper()
	a, findings := check.Read(files, lookups)
	if len(findings) > 0 {
		t.Fatal(findings)
	}
	return a
}
