package gate

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

// edit changes a file of an assembly. With a text that takes the place of another, where is the end
// of the file's name. Otherwise it is the end of a stack's name and a path in its template; the name
// of a step may lack its end. A nil takes the value out.
type edit struct {
	where string
	what  any
}

type (
	instead [2]string // the second text instead of the first
	from    string    // the value at another path of the template, as it was
	more    []any     // items, after those of a list
)

const (
	resources = "Proxy/Resources/"
	service   = resources + "Service1/Properties/"
	second    = resources + "Service2/Properties/"
	rotation  = resources + "Rotation1/Properties/"
	task      = resources + "Task/Properties/"
	container = task + "ContainerDefinitions/0/"
	targets   = resources + "Targets7/Properties/TargetGroupAttributes/"
	network   = service + "NetworkConfiguration/AwsvpcConfiguration/"
	balancer  = resources + "LoadBalancerBE/Properties/"
	listener  = resources + "Listener35201/Properties/"
)

func ref(id string) any               { return map[string]any{"Ref": id} }
func getAtt(id, attribute string) any { return map[string]any{"Fn::GetAtt": []any{id, attribute}} }

// faults are each found by one promise alone: no other says a word, nor does AWS's validation.
// Faults in code that both syntheses share are among them. The fleet is the default one, unless it
// lacks what the fault is about.
var faults = []struct {
	name, promise, fleet string
	edits                []edit
}{
	{"a lookup that is pending", "lookups", "", []edit{
		{"manifest.json", instead{`"artifacts": {`, `"missing": [{"key": "vpc-provider:x"}], "artifacts": {`}}}},
	{"everybody admitted", "clients", "", []edit{
		{resources + "LoadBalancerFirewall/Properties/SecurityGroupIngress/0/CidrIp", "0.0.0.0/0"}}},
	{"a load balancer without a firewall", "clients", "", []edit{{balancer + "SecurityGroups", nil}}},
	{"tasks reachable from the VPC", "tasks", "", []edit{
		{resources + "FromLoadBalancer/Properties/CidrIp", "10.0.0.0/16"},
		{resources + "FromLoadBalancer/Properties/SourceSecurityGroupId", nil}}},
	{"tasks in the load balancer's group", "tasks", "", []edit{
		{network + "SecurityGroups/0", getAtt("LoadBalancerFirewall", "GroupId")}}},
	{"tasks that send mail", "egress", "", []edit{{resources + "TaskFirewall/Properties/SecurityGroupEgress", more{
		map[string]any{"CidrIp": "0.0.0.0/0", "IpProtocol": "tcp", "FromPort": 25, "ToPort": 25}}}}},
	{"a load balancer without public addresses", "endpoint", "", []edit{{balancer + "Scheme", "internal"}}},
	{"TLS of old", "tls", "tls", []edit{{listener + "SslPolicy", "ELBSecurityPolicy-2016-08"}}},
	{"a port without TLS", "tls", "tls", []edit{
		{listener + "Protocol", "TCP"}, {listener + "Certificates", nil}, {listener + "SslPolicy", nil}}},
	{"somebody else's zone", "name", "tls", []edit{
		{resources + "NameA/Properties/HostedZoneId", "Z00000000000000000000"}}},
	{"a service for everybody", "private-link", "internal", []edit{
		{resources + "EndpointServicePermissions/Properties/AllowedPrincipals/0", "*"}}},
	{"PrivateLink past the firewall", "private-link", "internal", []edit{
		{balancer + "EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic", "off"}}},
	{"tasks asked at another port", "port", "", []edit{{resources + "Targets7/Properties/Port", 35200}}},
	{"a port that leads to another address", "addresses", "", []edit{
		{service + "LoadBalancers/1", from(second + "LoadBalancers/1")}}},
	{"an address that the common port does not lead to", "addresses", "", []edit{
		{second + "LoadBalancers/0", from(second + "LoadBalancers/1")}}},
	{"no PROXY header", "proxy-header", "", []edit{{targets + "2/Value", "false"}}},
	{"addresses preserved", "proxy-header", "", []edit{{targets + "3/Value", "true"}}},
	{"zones apart", "zones", "", []edit{{targets + "1/Value", "false"}}},
	{"tasks in one zone", "zones", "", []edit{
		{"Network/Resources/VpcTasksSubnet2Subnet/Properties/AvailabilityZone/Fn::Select/0", 0}}},
	{"subnets that have changed places", "subnets", "", []edit{
		{balancer + "Subnets", from(network + "Subnets")}, {network + "Subnets", from(balancer + "Subnets")}}},
	{"a subnet for both", "subnets", "", []edit{{network + "Subnets/0", from(balancer + "Subnets/0")}}},
	{"a header from a client's address", "subnets", "", []edit{
		{"squid.conf", instead{"acl load_balancer src ", "acl load_balancer src 198.51.100.0/24 "}}}},
	{"a route to half of the internet", "routes", "", []edit{
		{"Network/Resources/VpcTasksSubnet1DefaultRoute/Properties/DestinationCidrBlock", "0.0.0.0/1"}}},
	{"a header from anybody", "squid-entry", "", []edit{
		{"squid.conf", instead{"proxy_protocol_access allow load_balancer", "proxy_protocol_access allow all"}}}},
	{"an open port", "squid-entry", "", []edit{{"squid.conf", instead{"35201 require-proxy-header", "35201"}}}},
	{"a client more", "squid-access", "", []edit{
		{"squid.conf", instead{"acl clients", "acl clients src 8.8.8.8\nacl clients"}}}},
	{"no closing deny", "squid-access", "", []edit{{"squid.conf", instead{"http_access deny all\n", ""}}}},
	{"no password asked", "squid-access", "", []edit{
		{"squid.conf", instead{"allow clients authenticated", "allow clients"}}}},
	{"another rule that allows", "squid-access", "", []edit{
		{"squid.conf", instead{"http_access deny manager", "http_access allow clients\nhttp_access deny manager"}}}},
	{"wrong passwords remembered", "squid-access", "", []edit{
		{"squid.conf", instead{"negative_ttl=0", "negative_ttl=60"}}}},
	{"any port for tunnels", "squid-access", "", []edit{
		{"squid.conf", instead{"http_access deny connect !connect_ports\n", ""}}}},
	{"a name too few", "squid-access", "everything", []edit{
		{"squid.conf", instead{"acl allowed_domains dstdomain -n example.org\n", ""}}}},
	{"no address of its own", "public-address", "", []edit{{network + "AssignPublicIp", "DISABLED"}}},
	{"a task role", "task-role", "", []edit{{task + "TaskRoleArn", from(task + "ExecutionRoleArn")}}},
	{"a writable root", "hardened", "", []edit{{container + "ReadonlyRootFilesystem", false}}},
	{"root", "hardened", "", []edit{{container + "User", "0:0"}}},
	{"an image of root's", "image-user", "", []edit{{"/Dockerfile", instead{"USER 10001:10001\n", ""}}}},
	{"a role for any secret", "roles", "", []edit{
		{resources + "ExecutionRole/Properties/Policies/1/PolicyDocument/Statement/0/Resource", "*"}}},
	{"a role for anybody's schedule", "roles", "", []edit{
		{resources + "RotationRole/Properties/AssumeRolePolicyDocument/Statement/0/Condition", nil}}},
	{"a password in the environment", "credentials", "", []edit{
		{container + "Environment", more{map[string]any{"Name": "PASSWORD", "Value": "hunter2hunter2"}}}}},
	{"a password in the Dockerfile", "credentials", "", []edit{
		{"/Dockerfile", instead{"VOLUME", "ENV TOKEN=hunter2hunter2\nVOLUME"}}}},
	{"a password as the nonces' key", "users", "", []edit{
		{container + "Secrets/1/ValueFrom", from(container + "Secrets/0/ValueFrom")}}},
	{"a stream", "types", "", []edit{
		{resources + "Stream", map[string]any{"Type": "AWS::Kinesis::Stream", "Properties": map[string]any{}}}}},
	{"a name", "names", "", []edit{{service + "ServiceName", "proxy"}}},
	{"a log that stays", "removal", "", []edit{{resources + "Log/DeletionPolicy", "Retain"}}},
	{"fewer tasks while deploying", "capacity", "", []edit{
		{service + "DeploymentConfiguration/MinimumHealthyPercent", 50}}},
	{"a deployment that starts what is stopped", "stopped", "", []edit{{service + "DesiredCount", 1}}},
	{"no time for the last connection", "drain", "", []edit{{targets + "0/Value", "120"}}},
	{"two addresses at a time", "rotation", "", []edit{
		{resources + "Rotation2/Properties/ScheduleExpression", from(rotation + "ScheduleExpression")}}},
	{"rotations of one address alone", "rotation", "", []edit{{resources + "Rotation2", nil}}},
	{"a rotation that starts what is stopped", "rotation", "", []edit{{rotation + "Target/Input/Fn::Join/1/2",
		`","DesiredCount":1,"ForceNewDeployment":true,"Service":"`}}},
	{"rotations that overtake", "rotation", "", []edit{
		{rotation + "Target/RetryPolicy/MaximumEventAgeInSeconds", 3600}}},
	{"a partition of its own", "rotation", "", []edit{
		{rotation + "Target/Arn", "arn:aws:scheduler:::aws-sdk:ecs:updateService"}}},
	{"nights as in winter", "hours", "everything", []edit{
		{resources + "Stop1/Properties/ScheduleExpressionTimezone", "UTC"}}},
	{"two architectures", "architecture", "", []edit{{task + "RuntimePlatform/CpuArchitecture", "ARM64"}}},
	{"somebody else's image", "image", "", []edit{{container + "Image", "docker.io/ubuntu/squid:latest"}}},
	{"half a minute to stop", "stop", "", []edit{{container + "StopTimeout", 30}}},
	{"always healthy", "health", "", []edit{{container + "HealthCheck/Command", []any{"CMD-SHELL", "exit 0"}}}},
	{"no cluster to operate", "outputs", "", []edit{{"Proxy/Outputs/ClusterName", nil}}},
	{"connections cut after two missed checks", "unhealthy", "", []edit{{targets + "6/Value", "0"}}},
	{"connections that Squid believes in for longer", "idle", "", []edit{
		{listener + "ListenerAttributes/0/Value", "300"}}},
	{"a tag of another", "tags", "everything", []edit{{service + "Tags/2/Value", "mail"}}},
	{"an alarm that nobody gets", "alarms", "everything", []edit{
		{resources + "Guessing/Properties/AlarmActions", []any{}}}},
	{"alarms all night", "alarms", "everything", []edit{
		{resources + "TooFewHealthy/Properties/TreatMissingData", "breaching"}}},
	{"somebody else's mail", "alarms", "everything", []edit{
		{resources + "AlarmMail/Properties/Endpoint", "x@example.com"}}},
	{"a metric that comes and goes", "alarms", "everything", []edit{
		{resources + "Failures/Properties/MetricTransformations/0/DefaultValue", nil}}},
	{"events for another", "alarms", "everything", []edit{
		{resources + "FailedDeployments/Properties/Targets/0/Arn", ref("Log")}}},
	{"a topic that anybody reads", "alarms", "everything", []edit{
		{resources + "AlarmPublishers/Properties/PolicyDocument/Statement/0/Action", "sns:Subscribe"}}},
	{"tasks before the listener", "order", "", []edit{{resources + "Service1/DependsOn/2", "Task"}}},
}

// additions are what a user may add to stacks/ without a word from the check.
var additions = []edit{
	{service + "Tags", more{map[string]any{"Key": "team", "Value": "mail"}}},
	{container + "Environment", more{map[string]any{"Name": "COLOUR", "Value": "blue"}}},
	{"Proxy/Outputs/Console", map[string]any{"Value": "https://example.com/"}},
}

// edited returns an assembly with edits.
func edited(t *testing.T, files fstest.MapFS, edits ...edit) fstest.MapFS {
	t.Helper()
	now := maps.Clone(files)
	for _, e := range edits {
		texts, inText := e.what.(instead)
		stack, path, _ := strings.Cut(e.where, "/")
		ending := cmp.Or(map[bool]string{true: e.where}[inText], stack+".template.json")
		name := named(t, now, ending)
		if inText {
			text := string(now[name].Data)
			if !strings.Contains(text, texts[0]) {
				t.Fatalf("%s does not hold %q", name, texts[0])
			}
			now[name] = &fstest.MapFile{Data: []byte(strings.Replace(text, texts[0], texts[1], 1)), Mode: 0o644}
			continue
		}
		var was, template any
		if json.Unmarshal(files[name].Data, &was) != nil || json.Unmarshal(now[name].Data, &template) != nil {
			t.Fatalf("%s is no JSON", name)
		}
		value := e.what
		if other, ok := value.(from); ok {
			value, _ = below(was, strings.Split(string(other), "/")[1:])
		}
		before, put := below(template, strings.Split(path, "/"))
		if items, ok := value.(more); ok {
			value = slices.Concat(before.([]any), items)
		}
		if put == nil || before == nil && value == nil {
			t.Fatalf("there is no %s", e.where)
		}
		put(value)
		text, err := json.MarshalIndent(template, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		now[name] = &fstest.MapFile{Data: text, Mode: 0o644}
	}
	return now
}

// named returns the name of the one file with this ending.
func named(t *testing.T, files fstest.MapFS, ending string) string {
	t.Helper()
	found := slices.DeleteFunc(slices.Collect(maps.Keys(files)), func(name string) bool {
		return !strings.HasSuffix(name, ending)
	})
	if len(found) != 1 {
		t.Fatalf("files that end in %s: %v, want one", ending, found)
	}
	return found[0]
}

// below returns what is at a path below a JSON value, and how to change it if there is room for it.
func below(v any, path []string) (was any, put func(now any)) {
	switch tree := v.(type) {
	case []any:
		if n, err := strconv.Atoi(path[0]); err == nil && n < len(tree) {
			was, put = tree[n], func(now any) { tree[n] = now }
		}
	case map[string]any:
		key := path[0]
		for _, long := range slices.Sorted(maps.Keys(tree)) {
			if tree[key] == nil && strings.HasPrefix(long, key) && len(path) > 1 {
				key = long
			}
		}
		was, put = tree[key], func(now any) {
			if tree[key] = now; now == nil {
				delete(tree, key)
			}
		}
	}
	if len(path) > 1 && put != nil {
		return below(was, path[1:])
	}
	return was, put
}
