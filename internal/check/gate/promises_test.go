package gate

import (
	"cmp"
	"encoding/json"
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
	for _, p := range check.Promises {
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

// TestPromises: the check has nothing to say about fleets of all kinds, and each promise finds
// mistakes that nothing else finds. One validation judges the templates of both, because it starts
// slowly.
func TestPromises(t *testing.T) {
	var templates []check.Template
	names := map[string]string{} // of mistakes, by their templates
	dir := t.TempDir()
	t.Run("parameters of all kinds", func(t *testing.T) { templates = parametersOfAllKinds(t, dir) })
	t.Run("mistakes", func(t *testing.T) {
		for i, m := range mistakes {
			for _, text := range findsAlone(t, m) {
				path := filepath.Join(dir, fmt.Sprintf("%d.template.json", i))
				if err := os.WriteFile(path, text, 0o600); err != nil {
					t.Fatal(err)
				}
				names[filepath.Base(path)] = m.name
				templates = append(templates, check.Template{Path: path})
			}
		}
	})
	for _, p := range check.Promises {
		if !slices.ContainsFunc(mistakes, func(m mistake) bool { return m.promise == p.Name }) {
			t.Errorf("promise %s: no mistake shows what it is good for", p.Name)
		}
	}
	findings, err := check.Validate(t.Context(), root, templates...)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		t.Errorf("%s: AWS finds %s", cmp.Or(names[f.File], "no mistake"), f)
	}
}

// parametersOfAllKinds judges twenty fleets, those of the golden templates and random ones, and
// returns their templates. It synthesises four of them again, and other tests two.
func parametersOfAllKinds(t *testing.T, parent string) (templates []check.Template) {
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
				templates = append(templates, check.Template{Path: filepath.Join(dir, name)})
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

// edited is an assembly in which a test makes a mistake.
type edited struct {
	t     *testing.T
	files fstest.MapFS
}

// file returns the name of the one file with this ending.
func (e edited) file(ending string) string {
	e.t.Helper()
	var found []string
	for name := range e.files {
		if strings.HasSuffix(name, ending) {
			found = append(found, name)
		}
	}
	if len(found) != 1 {
		e.t.Fatalf("%d files end in %s", len(found), ending)
	}
	return found[0]
}

// replace changes a text of a file.
func (e edited) replace(ending, old, new string) {
	e.t.Helper()
	name := e.file(ending)
	text := string(e.files[name].Data)
	if !strings.Contains(text, old) {
		e.t.Fatalf("%s does not hold %q", name, old)
	}
	e.files[name] = &fstest.MapFile{Data: []byte(strings.Replace(text, old, new, 1)), Mode: 0o644}
}

// set changes a value of a template. The path begins with the stack's ending, a section and an id
// or its beginning; a function gets what was there; nil takes it out.
func (e edited) set(path string, value any) {
	e.t.Helper()
	steps := strings.Split(path, "/")
	name := e.file(steps[0] + ".template.json")
	var template map[string]any
	if err := json.Unmarshal(e.files[name].Data, &template); err != nil {
		e.t.Fatal(err)
	}
	section, _ := template[steps[1]].(map[string]any)
	for _, id := range slices.Sorted(maps.Keys(section)) {
		if section[steps[2]] == nil && strings.HasPrefix(id, steps[2]) {
			steps[2] = id
		}
	}
	e.put(section, steps[2:], value)
	text, err := json.MarshalIndent(template, "", " ")
	if err != nil {
		e.t.Fatal(err)
	}
	e.files[name] = &fstest.MapFile{Data: text, Mode: 0o644}
}

// put returns a JSON value in which the value at a path is another one.
func (e edited) put(v any, path []string, value any) any {
	e.t.Helper()
	if len(path) == 0 {
		if change, ok := value.(func(any) any); ok {
			return change(v)
		}
		return value
	}
	switch tree := v.(type) {
	case map[string]any:
		was, now := tree[path[0]], e.put(tree[path[0]], path[1:], value)
		if tree[path[0]] = now; now == nil {
			delete(tree, path[0])
		}
		if was != nil || now != nil {
			return tree
		}
	case []any:
		if n, err := strconv.Atoi(path[0]); err == nil && n < len(tree) {
			tree[n] = e.put(tree[n], path[1:], value)
			return tree
		}
	}
	e.t.Fatalf("there is no %s", strings.Join(path, "/"))
	return nil
}

// These make one change.

func set(path string, value any) func(edited) { return func(e edited) { e.set(path, value) } }
func replace(ending, old, new string) func(edited) {
	return func(e edited) { e.replace(ending, old, new) }
}

func add(item any) func(any) any { return func(was any) any { return append(was.([]any), item) } }

func ref(id string) any               { return map[string]any{"Ref": id} }
func getAtt(id, attribute string) any { return map[string]any{"Fn::GetAtt": []any{id, attribute}} }

const (
	service   = "Proxy/Resources/Service1/Properties/"
	second    = "Proxy/Resources/Service2/Properties/"
	rotation  = "Proxy/Resources/Rotation1/Properties/"
	task      = "Proxy/Resources/Task/Properties/"
	container = task + "ContainerDefinitions/0/"
	targets   = "Proxy/Resources/Targets7ED976EF/Properties/TargetGroupAttributes/"
	network   = service + "NetworkConfiguration/AwsvpcConfiguration/"
	balancer  = "Proxy/Resources/LoadBalancerBE9EEC3A/Properties/"
	listener  = "Proxy/Resources/Listener35201/Properties/"
)

type mistake struct {
	name, promise string
	make          func(e edited)
}

// mistakes are each found by one promise alone: no other says a word, nor does AWS's validation.
// Mistakes in code that both syntheses share are among them.
var mistakes = []mistake{
	{"a lookup that is pending", "lookups",
		replace("manifest.json", `"artifacts": {`, `"missing": [{"key": "vpc-provider:x"}], "artifacts": {`)},
	{"everybody admitted", "clients",
		set("Proxy/Resources/LoadBalancerFirewall/Properties/SecurityGroupIngress/0/CidrIp", "0.0.0.0/0")},
	{"a load balancer without a firewall", "clients", set(balancer+"SecurityGroups", nil)},
	{"tasks reachable from the VPC", "tasks", func(e edited) {
		e.set("Proxy/Resources/FromLoadBalancer/Properties/CidrIp", "10.0.0.0/16")
		e.set("Proxy/Resources/FromLoadBalancer/Properties/SourceSecurityGroupId", nil)
	}},
	{"tasks in the load balancer's group", "tasks",
		set(network+"SecurityGroups/0", getAtt("LoadBalancerFirewall", "GroupId"))},
	{"tasks that send mail", "egress",
		set("Proxy/Resources/TaskFirewall/Properties/SecurityGroupEgress", add(map[string]any{
			"CidrIp": "0.0.0.0/0", "IpProtocol": "tcp", "FromPort": 25, "ToPort": 25}))},
	{"a load balancer without public addresses", "endpoint", set(balancer+"Scheme", "internal")},
	{"TLS of old", "tls", set(listener+"SslPolicy", "ELBSecurityPolicy-2016-08")},
	{"a port without TLS", "tls", func(e edited) {
		e.set(listener+"Protocol", "TCP")
		e.set(listener+"Certificates", nil)
		e.set(listener+"SslPolicy", nil)
	}},
	{"somebody else's zone", "name", set("Proxy/Resources/NameA/Properties/HostedZoneId", "Z00000000000000000000")},
	{"a service for everybody", "private-link",
		set("Proxy/Resources/EndpointServicePermissions/Properties/AllowedPrincipals/0", "*")},
	{"PrivateLink past the firewall", "private-link",
		set(balancer+"EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic", "off")},
	{"tasks asked at another port", "port", set("Proxy/Resources/Targets7ED976EF/Properties/Port", 35200)},
	{"a listener beside Squid's port", "addresses", func(e edited) {
		e.set(listener+"Port", 35200)
		for _, s := range []string{"1", "2"} {
			e.set("Proxy/Resources/Service"+s+"/DependsOn", func(was any) any { return append(was.([]any), "Task") })
		}
	}},
	{"ports that lead to each other's address", "addresses", func(e edited) {
		var first any
		e.set(service+"LoadBalancers/1", func(was any) any { first = was; return was })
		e.set(second+"LoadBalancers/1", func(was any) any { e.set(service+"LoadBalancers/1", was); return first })
	}},
	{"an address that the common port does not lead to", "addresses", set(second+"LoadBalancers", func(was any) any {
		return was.([]any)[1:]
	})},
	{"no PROXY header", "proxy-header", set(targets+"2/Value", "false")},
	{"addresses preserved", "proxy-header", set(targets+"3/Value", "true")},
	{"zones apart", "zones", set(targets+"1/Value", "false")},
	{"tasks in one zone", "zones",
		set("Network/Resources/VpcTasksSubnet2Subnet/Properties/AvailabilityZone/Fn::Select/0", 0)},
	{"subnets that have changed places", "subnets", func(e edited) {
		var entries, tasks any
		e.set(balancer+"Subnets", func(was any) any { entries = was; return was })
		e.set(network+"Subnets", func(was any) any { tasks = was; return entries })
		e.set(balancer+"Subnets", func(any) any { return tasks })
	}},
	{"a subnet for both", "subnets", func(e edited) {
		const output = "PublishOutputRefVpcLoadBalancerSubnet1Subnet17C2855B401D7907"
		e.set(network+"Subnets/0/Fn::GetStackOutput/OutputName", output)
	}},
	{"a route to half of the internet", "routes",
		set("Network/Resources/VpcTasksSubnet1DefaultRoute/Properties/DestinationCidrBlock", "0.0.0.0/1")},
	{"a PROXY header from anybody", "squid-entry",
		replace("squid.conf", "proxy_protocol_access allow load_balancer", "proxy_protocol_access allow all")},
	{"an open port", "squid-entry", replace("squid.conf", "35201 require-proxy-header", "35201")},
	{"no closing deny", "squid-access", replace("squid.conf", "http_access deny all\n", "")},
	{"no password asked", "squid-access",
		replace("squid.conf", "http_access allow clients authenticated", "http_access allow clients")},
	{"any port for tunnels", "squid-access", replace("squid.conf", "http_access deny connect !connect_ports\n", "")},
	{"any name", "squid-access", replace("squid.conf", "http_access deny !allowed_domains\n", "")},
	{"a name that is blocked", "squid-access", replace("squid.conf", "http_access deny blocked_domains\n", "")},
	{"a name too few", "squid-access", replace("squid.conf", "acl allowed_domains dstdomain -n example.org\n", "")},
	{"a blocked name too few", "squid-access",
		replace("squid.conf", "acl blocked_domains dstdomain -n private.example.com\n", "")},
	{"no address of its own", "public-address", set(network+"AssignPublicIp", "DISABLED")},
	{"a task role", "task-role", set(task+"TaskRoleArn", getAtt("ExecutionRole605A040B", "Arn"))},
	{"a writable root", "hardened", set(container+"ReadonlyRootFilesystem", false)},
	{"root", "hardened", set(container+"User", "0:0")},
	{"an image of root's", "image-user", replace("/Dockerfile", "USER 10001:10001\n", "")},
	{"a role for any secret", "roles",
		set("Proxy/Resources/ExecutionRole/Properties/Policies/1/PolicyDocument/Statement/0/Resource", "*")},
	{"a role for anybody's schedule", "roles",
		set("Proxy/Resources/RotationRole/Properties/AssumeRolePolicyDocument/Statement/0/Condition", nil)},
	{"a role for machines", "roles", func(e edited) {
		const trust = "Proxy/Resources/RotationRole/Properties/AssumeRolePolicyDocument/Statement/0/"
		e.set(trust+"Principal/Service", "ec2.amazonaws.com")
	}},
	{"a password in the environment", "credentials",
		set(container+"Environment", add(map[string]any{"Name": "PASSWORD", "Value": "hunter2hunter2"}))},
	{"a password in the Dockerfile", "credentials",
		replace("/Dockerfile", "VOLUME", "ENV TOKEN=hunter2hunter2\nVOLUME")},
	{"a password as the nonces' key", "users", set(container+"Secrets/1/ValueFrom", ref("PasswordsOfproxy77572FBF"))},
	{"a stream", "types",
		set("Proxy/Resources/Stream", map[string]any{"Type": "AWS::Kinesis::Stream", "Properties": map[string]any{}})},
	{"a name", "names", set(service+"ServiceName", "proxy")},
	{"a log that stays", "removal", set("Proxy/Resources/Log/DeletionPolicy", "Retain")},
	{"fewer tasks while deploying", "capacity", set(service+"DeploymentConfiguration/MinimumHealthyPercent", 50)},
	{"a deployment that starts what is stopped", "stopped", set(service+"DesiredCount", 1)},
	{"no time for the last connection", "drain", set(targets+"0/Value", "120")},
	{"half as many rotations", "rotation",
		set(rotation+"ScheduleExpression", "cron(0 0/2 * * ? *)")},
	{"two addresses at a time", "rotation",
		set("Proxy/Resources/Rotation2/Properties/ScheduleExpression", "cron(0 0/1 * * ? *)")},
	{"a rotation of another address", "rotation",
		set("Proxy/Resources/Rotation2/Properties/Target/Input/Fn::Join/1/3/Ref", "Service1")},
	{"rotations of one address alone", "rotation", set("Proxy/Resources/Rotation2", nil)},
	{"a rotation that starts what is stopped", "rotation", set(rotation+"Target/Input/Fn::Join/1/2",
		`","DesiredCount":1,"ForceNewDeployment":true,"Service":"`)},
	{"nights as in winter", "hours", set("Proxy/Resources/Stop1/Properties/ScheduleExpressionTimezone", "UTC")},
	{"no end of the week", "hours",
		set("Proxy/Resources/Stop1/Properties/ScheduleExpression", "cron(30 6 ? * MON-FRI *)")},
	{"rotations that overtake", "rotation",
		set(rotation+"Target/RetryPolicy/MaximumEventAgeInSeconds", 3600)},
	{"two architectures", "architecture", set(task+"RuntimePlatform/CpuArchitecture", "ARM64")},
	{"somebody else's image", "image", set(container+"Image", "docker.io/ubuntu/squid:latest")},
	{"half a minute to stop", "stop", set(container+"StopTimeout", 30)},
	{"always healthy", "health", set(container+"HealthCheck/Command", []any{"CMD-SHELL", "exit 0"})},
	{"no endpoint", "outputs", set("Proxy/Outputs/ClusterName", nil)},
	{"connections cut after two missed checks", "unhealthy", set(targets+"6/Value", "0")},
	{"connections that Squid believes in for longer", "idle", set(listener+"ListenerAttributes/0/Value", "300")},
	{"somebody else's tag", "tags", set(service+"Tags", add(map[string]any{"Key": "team", "Value": "mail"}))},
	{"a partition of its own", "rotation",
		set(rotation+"Target/Arn", "arn:aws:scheduler:::aws-sdk:ecs:updateService")},
	{"pings from anybody", "clients",
		set("Proxy/Resources/LoadBalancerFirewall/Properties/SecurityGroupIngress", add(map[string]any{
			"CidrIpv6": "::/0", "IpProtocol": "icmpv6", "FromPort": 128, "ToPort": 0}))},
	{"tasks that leave by IPv6", "egress", func(e edited) {
		e.set("Proxy/Resources/TaskFirewall/Properties/SecurityGroupEgress/0/CidrIpv6", "::/0")
		e.set("Proxy/Resources/TaskFirewall/Properties/SecurityGroupEgress/0/CidrIp", nil)
	}},
	{"an alarm that nobody gets", "alarms", set("Proxy/Resources/Guessing/Properties/AlarmActions", []any{})},
	{"alarms all night", "alarms", set("Proxy/Resources/TooFewHealthy/Properties/TreatMissingData", "breaching")},
	{"somebody else's mail", "alarms", set("Proxy/Resources/AlarmMail/Properties/Endpoint", "x@example.com")},
	{"a metric that comes and goes", "alarms",
		set("Proxy/Resources/Failures/Properties/MetricTransformations/0/DefaultValue", nil)},
	{"events for another", "alarms", set("Proxy/Resources/FailedDeployments/Properties/Targets/0/Arn", ref("Log"))},
	{"a topic that anybody reads", "alarms",
		set("Proxy/Resources/AlarmPublishers/Properties/PolicyDocument/Statement/0/Action", "sns:Subscribe")},
	{"tasks before the listener", "order", set("Proxy/Resources/Service1/DependsOn/2", "Task")},
}

// fleets are the cases of promises, or of single mistakes, about what the default fleet lacks.
var fleets = map[string]string{"hours": "everything", "tls": "tls", "name": "tls", "private-link": "internal",
	"alarms": "everything", "any name": "everything", "a name that is blocked": "everything",
	"a name too few": "everything", "a blocked name too few": "everything"}

// findsAlone makes a mistake, which only its promise finds, and returns the templates that it
// changes.
func findsAlone(t *testing.T, m mistake) (changed [][]byte) {
	right := assembly(t, cmp.Or(fleets[m.name], fleets[m.promise], "default"))
	e := edited{t, maps.Clone(right)}
	m.make(e)
	if findings := load(t, e.files).Broken(); len(findings) != 1 || findings[0].Rule != m.promise {
		t.Errorf("%s: %v, want one finding of promise %s", m.name, findings, m.promise)
	}
	for name, file := range e.files {
		if strings.HasSuffix(name, ".template.json") && right[name] != file {
			changed = append(changed, file.Data)
		}
	}
	return changed
}
