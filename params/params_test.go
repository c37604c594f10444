package params

import (
	"archive/zip"
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
	"net/netip"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"squidfleet/internal/must"
	"squidfleet/squid"
)

func mustParse(t *testing.T, context map[string]any) *Params {
	t.Helper()
	p, err := Parse(context)
	if err != nil {
		t.Fatalf("%v: %v", context, err)
	}
	return p
}

func prefixes(list ...string) []netip.Prefix {
	out := []netip.Prefix{}
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

const certificate = "arn:aws-cn:acm:cn-north-1:111122223333:certificate/01234567-89ab-cdef-0123-456789abcdef"

const topic = "arn:aws-cn:sns:cn-north-1:111122223333:alarms"

// TestAccepted gives each value once as cdk.json would hold it and once as the command line would.
func TestAccepted(t *testing.T) {
	for _, c := range []struct {
		key  string
		json string // "" when there is only a string
		text string
		want func(p *Params)
	}{
		{"stackName", `"a"`, "a", func(p *Params) { p.StackName = "a" }},
		{"clientCidrs", `["198.51.100.7/32","2001:DB8:0::/48"]`, " 198.51.100.7/32 , 2001:DB8:0::/48 ",
			func(p *Params) { p.ClientCidrs = prefixes("198.51.100.7/32", "2001:db8::/48") }},
		{"clientCidrs", `["12.0.0.0/8","2003::/19"]`, "12.0.0.0/8,2003::/19",
			func(p *Params) { p.ClientCidrs = prefixes("12.0.0.0/8", "2003::/19") }},
		{"allowAnyClient", `true`, "true", func(p *Params) { p.AllowAnyClient = true }},
		{"auth", `"none"`, "none", func(p *Params) { p.Auth, p.Users = squid.AuthNone, nil }},
		{"users", `["alice","bob"]`, "alice,bob", func(p *Params) { p.Users = []string{"alice", "bob"} }},
		{"realm", `"Crawlers (EU)"`, "Crawlers (EU)", func(p *Params) { p.Realm = "Crawlers (EU)" }},
		{"digest", `"squid"`, "squid", func(p *Params) { p.Digest = squid.DigestSquid }},
		{"listenerPort", `1024`, "1024", func(p *Params) { p.ListenerPort = 1024 }},
		{"listenerPort", `65533`, "65533", func(p *Params) { p.ListenerPort = 65533 }}, // and two for the addresses
		{"idleTimeout", `"60s"`, "1m", func(p *Params) { p.IdleTimeout = time.Minute }},
		{"idleTimeout", `"1h40m"`, "6000s", func(p *Params) { p.IdleTimeout = 6000 * time.Second }},
		{"httpPorts", `[80,8080]`, "80, 8080", func(p *Params) { p.HTTPPorts = []int{80, 8080} }},
		{"httpPorts", `8080`, "8080", func(p *Params) { p.HTTPPorts = []int{8080} }},
		{"httpPorts", `[]`, "", func(p *Params) { p.HTTPPorts = []int{} }},
		{"connectPorts", `[1,65535]`, "1,65535", func(p *Params) { p.ConnectPorts = []int{1, 65535} }},
		{"connectPorts", `[]`, " ", func(p *Params) { p.ConnectPorts = []int{} }},
		{"allowedDomains", `[".example.com","a-b.example.org","xn--bcher-kva.example"]`,
			".example.com, a-b.example.org, xn--bcher-kva.example", func(p *Params) {
				p.AllowedDomains = []string{".example.com", "a-b.example.org", "xn--bcher-kva.example"}
			}},
		{"blockedDomains", `["_x.example.com","notexample.com",".de"]`, "_x.example.com,notexample.com,.de",
			func(p *Params) { p.BlockedDomains = []string{"_x.example.com", "notexample.com", ".de"} }},
		{"blockedCidrs", `["192.0.2.0/24","::/0"]`, "192.0.2.0/24,::/0",
			func(p *Params) { p.BlockedCidrs = prefixes("192.0.2.0/24", "::/0") }},
		{"allowedPrivateCidrs", `["10.1.0.0/16","fd12::/32"]`, "10.1.0.0/16,fd12::/32",
			func(p *Params) { p.AllowedPrivateCidrs = prefixes("10.1.0.0/16", "fd12::/32") }},
		{"fleetSize", `1`, "1", func(p *Params) { p.FleetSize = 1 }},
		{"fleetSize", `49.0`, "49", func(p *Params) { p.FleetSize = 49 }},
		{"spotShare", `100`, "100", func(p *Params) { p.SpotShare = 100 }},
		{"rotateEvery", `"off"`, "off", func(p *Params) { p.RotateEvery = 0 }},
		{"rotateEvery", `"24h"`, "1d", func(p *Params) { p.RotateEvery = 24 * time.Hour }},
		// The default drainTimeout, and the 10 minutes besides.
		{"rotateEvery", `"12m"`, "12m", func(p *Params) { p.RotateEvery = 12 * time.Minute }},
		{"rotateEvery", `"3600s"`, "3600s", func(p *Params) { p.RotateEvery = time.Hour }},
		{"drainTimeout", `"0s"`, "0s", func(p *Params) { p.DrainTimeout = 0 }},
		{"drainTimeout", `"1m30s"`, "90s", func(p *Params) { p.DrainTimeout = 90 * time.Second }},
		{"drainTimeout", `"20m"`, "20m", func(p *Params) { p.DrainTimeout = 20 * time.Minute }},
		{"activeHours", `"mon-wed,sun 07:00-19:30"`, "sun,mon-wed 07:00-19:30", func(p *Params) {
			days := []time.Weekday{time.Monday, time.Tuesday, time.Wednesday, time.Sunday}
			p.ActiveHours = ActiveHours{days, 7 * time.Hour, 19*time.Hour + 30*time.Minute}
		}},
		{"activeHours", `"sat 22:00-06:00"`, "sat 22:00-06:00", func(p *Params) {
			p.ActiveHours = ActiveHours{[]time.Weekday{time.Saturday}, 22 * time.Hour, 6 * time.Hour}
		}},
		{"vpcCidr", `"100.64.0.0/26"`, "100.64.0.0/26",
			func(p *Params) { p.VpcCidr = netip.MustParsePrefix("100.64.0.0/26") }},
		{"vpcCidr", `"172.31.0.0/16"`, "172.31.0.0/16",
			func(p *Params) { p.VpcCidr = netip.MustParsePrefix("172.31.0.0/16") }},
		{"certificateArn", `"` + certificate + `"`, certificate, func(p *Params) { p.CertificateARN = certificate }},
		{"zones", `["us-gov-west-1b","us-gov-west-1c"]`, "us-gov-west-1b,us-gov-west-1c",
			func(p *Params) { p.Zones = []string{"us-gov-west-1b", "us-gov-west-1c"} }},
		{"vpcId", `"vpc-0a1b2c3d"`, "vpc-0a1b2c3d",
			func(p *Params) { p.VpcID, p.VpcCidr = "vpc-0a1b2c3d", netip.Prefix{} }},
		{"alarmEmail", `"ops+fleet@mail.example.com"`, "ops+fleet@mail.example.com",
			func(p *Params) { p.AlarmEmail = "ops+fleet@mail.example.com" }},
		{"alarmTopicArn", `"` + topic + `"`, topic, func(p *Params) { p.AlarmTopicARN = topic }},
		{"logRetentionDays", `3653`, "3653", func(p *Params) { p.LogRetentionDays = 3653 }},
		{"metrics", `false`, "false", func(p *Params) { p.Metrics = false }},
		{"timezone", `"America/Argentina/Ushuaia"`, "America/Argentina/Ushuaia",
			func(p *Params) { p.Timezone = "America/Argentina/Ushuaia" }},
		{"tags", `["cost centre=a=b","Team=","é:/x=1"]`, "cost centre=a=b,Team=,é:/x=1",
			func(p *Params) { p.Tags = []string{"cost centre=a=b", "Team=", "é:/x=1"} }},
	} {
		want := mustParse(t, nil)
		c.want(want)
		context := map[string]any{}
		must.OK(t, json.Unmarshal([]byte(`{"`+c.key+`":`+c.json+`}`), &context))
		for _, context := range []map[string]any{context, {c.key: c.text}} {
			if p := mustParse(t, context); !reflect.DeepEqual(p, want) {
				t.Errorf("%v:\ngot  %+v\nwant %+v", context, *p, *want)
			}
		}
	}
}

func TestValuesThatGoTogether(t *testing.T) {
	for _, context := range []map[string]any{
		{"allowedPrivateCidrs": "192.168.0.0/16", "blockedCidrs": "192.168.7.0/24"},
		{"blockedCidrs": "0.0.0.0/1,::/0"},                               // half of IPv4 is a lot
		{"fleetSize": 100, "addressPorts": false, "listenerPort": 65535}, // the addresses need no ports behind it
		{"rotateEvery": "20m", "drainTimeout": "10m"},
		{"rotateEvery": "10m", "drainTimeout": "0s"},  // the shortest of both
		{"rotateEvery": "30m", "drainTimeout": "20m"}, // the longest drainTimeout
		// The default vpcCidr says nothing about an existing VPC.
		{"vpcId": "vpc-0123456789abcdef0", "vpcCidr": "10.0.0.0/16", "allowedPrivateCidrs": "10.0.7.0/24"},
	} {
		mustParse(t, context)
	}
}

func TestNumbersThatAreNone(t *testing.T) {
	for _, bad := range []any{math.NaN(), math.Inf(1), float64(1 << 60), int64(3), make(chan int)} {
		if p, err := Parse(map[string]any{"fleetSize": bad}); err == nil {
			t.Errorf("%v accepted as %d", bad, p.FleetSize)
		} else if !strings.HasPrefix(err.Error(), "fleetSize: ") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

func TestListsHaveAnEnd(t *testing.T) {
	for key, c := range map[string]struct {
		most int
		why  string
	}{
		"blockedCidrs": {1000, ""}, "allowedPrivateCidrs": {100, ""},
		"clientCidrs": {50, ", because the load balancer's security group holds 60 rules: join neighbouring blocks"},
	} {
		var blocks []any
		for i := range c.most + 1 {
			blocks = append(blocks, fmt.Sprintf("172.16.%d.%d/32", i/256, i%256))
		}
		mustParse(t, map[string]any{key: blocks[:c.most]})
		want := fmt.Sprintf("%s: %d items are too many; give at most %d%s", key, c.most+1, c.most, c.why)
		if _, err := Parse(map[string]any{key: blocks}); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

func TestStackNamesLeaveRoomForWhatStacksAppend(t *testing.T) {
	mustParse(t, map[string]any{"stackName": strings.Repeat("a", 118)})
	if _, err := Parse(map[string]any{"stackName": strings.Repeat("a", 119)}); err == nil {
		t.Error("119 characters accepted")
	}
}

func TestAFleetFitsIntoItsVPC(t *testing.T) {
	for bits, most := range map[int]int{26: 11, 25: 27, 24: 59, 23: 100, 16: 100} {
		vpc := fmt.Sprintf("10.0.0.0/%d", bits)
		mustParse(t, map[string]any{"vpcCidr": vpc, "fleetSize": most, "addressPorts": false})
		if most == 100 {
			continue
		}
		_, err := Parse(map[string]any{"vpcCidr": vpc, "fleetSize": most + 1, "addressPorts": false})
		if err == nil || !strings.HasPrefix(err.Error(), "vpcCidr: "+vpc+" has room for a fleet of ") {
			t.Errorf("/%d with %d tasks: %v", bits, most+1, err)
		}
	}
}

func TestPeriodsAreReadAsTheyAreWritten(t *testing.T) {
	for _, every := range append([]time.Duration{0}, periods...) {
		if got, err := ParsePeriod(FormatPeriod(every)); got != every || err != nil {
			t.Errorf("%v becomes %v, %v", every, got, err)
		}
	}
	if _, err := ParsePeriod("90m"); err == nil {
		t.Error("90m is a period")
	}
}

func TestARotationThatIsStartedLateIsOverBeforeTheNext(t *testing.T) {
	for _, c := range []struct{ every, drain, want string }{
		{"10m", "0s", "1m"}, {"12m", "2m", "1m"}, {"30m", "2m", "19m"}, {"1h", "2m", "49m"}, {"30m", "20m", "1m"},
		{"2h", "2m", "1h"}, {"7d", "20m", "1h"},
	} {
		p := mustParse(t, map[string]any{"rotateEvery": c.every, "drainTimeout": c.drain})
		if got := format(p.RetryTime()); got != c.want {
			t.Errorf("every %s, drainTimeout %s: it is tried for %s, want %s", c.every, c.drain, got, c.want)
		}
		if over := p.RetryTime() + startTime + p.DeregistrationDelay() + stopTime; over > p.RotateEvery {
			t.Errorf("every %s, drainTimeout %s: the last attempt is over after %v", c.every, c.drain, over)
		}
	}
}

func TestTagsHaveAnEnd(t *testing.T) {
	var tags []any
	for i := range mostTags + 1 {
		tags = append(tags, fmt.Sprintf("%d=x", i))
	}
	long := strings.Repeat("ü", longestKey) + "=" + strings.Repeat("ü", longestText)
	mustParse(t, map[string]any{"tags": append(slices.Clone(tags[:mostTags-1]), long)})
	for _, wrong := range []any{tags, "ü" + long, long + "ü"} {
		if _, err := Parse(map[string]any{"tags": wrong}); err == nil {
			t.Errorf("accepted: %v", wrong)
		}
	}
}

func TestErrorsStayOnTheirLine(t *testing.T) {
	e := Error{"a\nb", "x\r\u2028y\u202ez\x00\xff"}
	if got, want := e.Error(), `a\nb: x\r\u2028y\u202ez\x00`+"\ufffd"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestCDKsOwnKeysPass(t *testing.T) {
	for _, key := range []string{
		"@aws-cdk/core:validateAgainstDefaultRules", "@aws-cdk/aws-iam.arnSizeEstimate",
		"@aws-cdk/core.TreeMetadata:maxNodes",
		"@aws-cdk-containers/ecs-service-extensions:enableDefaultLogDriver", "aws-cdk:enableDiffNoFail",
		"aws:cdk:enable-path-metadata",
		"aws:cdk:bundling-stacks", "acknowledged-issue-numbers", "cli-telemetry", "assets-ecr-repository-name",
		"availability-zones:account=111111111111:region=eu-west-1",
		"vpc-provider:account=111111111111:filter.vpc-id=vpc-0a1b2c3d:region=eu-west-1:returnAsymmetricSubnets=true",
		"ssm:account=111111111111:parameterName=/aws/x:region=eu-west-1",
		"load-balancer-listener:account=111111111111:region=eu-west-1",
		"cc-api-provider:account=111111111111:region=eu-west-1", "plugin:account=111111111111:region=eu-west-1",
	} {
		mustParse(t, map[string]any{key: []any{nil}})
	}
}

func TestSuggestions(t *testing.T) {
	for name, want := range map[string]string{
		"ListenerPort": "listenerPort", "CPU": "cpu", "user": "users", "cpus": "cpu", "memroy": "memory",
		"realms": "realm", "drain": "drainTimeout", "blockedCIDR": "blockedCidrs",
		"arch": "architecture", "retention": "logRetentionDays", "": "", "x": "", "banana": "",
		strings.Repeat("users", 20): "",
	} {
		if got := nearest(name, Keys()); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

// TestTheToolchainHasEveryZone: the image's localtime file comes from the same database.
func TestTheToolchainHasEveryZone(t *testing.T) {
	list := strings.Fields(zones)
	if len(list) < 590 || !slices.IsSorted(list) {
		t.Errorf("%d zones, sorted: %t", len(list), slices.IsSorted(list))
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	must.OK(t, err)
	// time.LoadLocation would ask the machine's database first.
	database, err := zip.OpenReader(filepath.Join(strings.TrimSpace(string(root)), "lib", "time", "zoneinfo.zip"))
	must.OK(t, err)
	defer database.Close()
	for _, zone := range list {
		data, err := fs.ReadFile(database, zone)
		if err == nil {
			_, err = time.LoadLocationFromTZData(zone, data)
		}
		if err != nil {
			t.Errorf("%s: %v", zone, err)
		}
	}
}

// A row says how each warning begins.
func TestWarnings(t *testing.T) {
	const nobody = "clientCidrs: nobody can connect, because there are documentation ranges only ("
	const anybody = "clientCidrs: because of allowAnyClient=true the load balancer admits %s, and only a password " +
		"keeps strangers out"
	const link, inVPC, somebody = "arn:aws:iam::111122223333:root", "vpc-0a1b2c3d", "8.8.8.8/32"
	for _, c := range []struct {
		context map[string]any
		want    []string
	}{
		{map[string]any{"clientCidrs": "203.0.113.0/24"},
			[]string{nobody + "203.0.113.0/24); give the blocks your clients connect from"}},
		{map[string]any{"clientCidrs": "192.0.2.0/24,198.51.100.7/32,2001:db8:1::/48,3fff::/20"},
			[]string{nobody + "192.0.2.0/24, 198.51.100.7/32, 2001:db8:1::/48, 3fff::/20)"}},
		{map[string]any{"clientCidrs": "203.0.113.0/24,8.8.8.8/32"}, nil},
		{map[string]any{"clientCidrs": "203.0.112.0/23"}, nil},
		{map[string]any{"clientCidrs": "0.0.0.0/1,208.8.8.8/32,2a00::/18", "allowAnyClient": true},
			[]string{fmt.Sprintf(anybody, "0.0.0.0/1, 2a00::/18")}},
		{map[string]any{"endpoint": "internal", "clientCidrs": "10.1.0.0/16"}, []string{
			"endpoint: an internal one in the fleet's own VPC, where nothing else runs, can be reached from peered"}},
		{map[string]any{"endpoint": "internal", "vpcId": inVPC, "clientCidrs": "10.1.0.0/16,8.8.8.8/32"},
			[]string{"clientCidrs: 8.8.8.8/32 is public, and an internal endpoint sees private addresses"}},
		{map[string]any{"endpoint": "internal", "clientCidrs": "100.64.0.0/16", "privateLinkPrincipals": link}, nil},
		{map[string]any{"endpoint": "internal", "vpcId": inVPC, "clientSecurityGroups": "sg-0a1b2c3d"}, nil},
		{map[string]any{"endpoint": "internal", "vpcId": inVPC, "clientCidrs": "10.0.0.0/8", "auth": "basic"}, nil},
		{map[string]any{"certificateArn": certificate, "clientCidrs": somebody},
			[]string{"certificateArn: clients have to use a name of the certificate"}},
		{map[string]any{"domainName": "a.b", "certificateArn": certificate, "clientCidrs": somebody}, nil},
		{map[string]any{"clientCidrs": somebody, "digest": "squid", "fleetSize": 1},
			[]string{"digest: with squid, Squid often accepts a wrong password "}},
		{map[string]any{"clientCidrs": somebody, "digest": "squid"},
			[]string{"digest: with squid, Squid often accepts a wrong password ",
				"digest: with squid, a client is challenged anew on each of the 2 tasks"}},
		{map[string]any{"clientCidrs": somebody, "auth": "none", "allowPlaintextBasic": true}, nil},
		{map[string]any{"clientCidrs": somebody, "auth": "basic", "allowPlaintextBasic": true},
			[]string{"auth: because of allowPlaintextBasic=true clients send their passwords in the clear; "}},
		{map[string]any{"clientCidrs": somebody, "auth": "any", "allowPlaintextBasic": true},
			[]string{"auth: because of allowPlaintextBasic=true a client sends its password in the clear if it likes"}},
	} {
		if got := mustParse(t, c.context).Warnings(); !slices.EqualFunc(got, c.want, strings.HasPrefix) {
			t.Errorf("%v: %q, want what begins with %q", c.context, got, c.want)
		}
	}
}
