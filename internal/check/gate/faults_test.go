package gate

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"squidfleet/internal/must"
)

// fault is a mistake in an assembly that a promise finds.
type fault struct {
	name, promise, fleet string
	edits                []edit
}

type (
	// edit changes a file of an assembly. With a text instead of another, where is the end of the
	// file's name. Otherwise it is a path in a template: below the properties of a resource of the
	// proxy stack, or with the end of the stack's name as the first step. The name of a step may lack
	// its end. A nil takes the value out.
	edit struct {
		where string
		what  any
	}
	instead [2]string // the second text instead of the first
	from    string    // the value at another path, as it was
	more    []any     // items, after those of a list
)

const (
	container = "Task/ContainerDefinitions/0/"
	targets   = "Targets7/TargetGroupAttributes/"
	network   = "Service1/NetworkConfiguration/AwsvpcConfiguration/"
	aRoute    = "Network/Resources/VpcTasksSubnet1DefaultRoute/Properties/"
)

// faults are each found by one promise alone, and not by AWS's validation. Faults in code that both
// syntheses share are among them. What a user adds to stacks/ is no fault. The fleet is the default
// one, unless it lacks what the fault is about.
var faults = []fault{
	{"a lookup that is pending", "lookups", "", []edit{
		{"manifest.json", instead{`"artifacts": {`, `"missing": [{"key": "vpc-provider:x"}], "artifacts": {`}}}},
	{"everybody admitted", "clients", "", []edit{{"LoadBalancerFirewall/SecurityGroupIngress/0/CidrIp", "0.0.0.0/0"}}},
	{"a load balancer without a firewall", "clients", "", []edit{{"LoadBalancerBE/SecurityGroups", nil}}},
	{"tasks reachable from the VPC", "tasks", "", []edit{
		{"FromLoadBalancer/CidrIp", "10.0.0.0/16"}, {"FromLoadBalancer/SourceSecurityGroupId", nil}}},
	{"tasks in the wrong group", "tasks", "", []edit{
		{network + "SecurityGroups/0", from("LoadBalancerBE/SecurityGroups/0")}}},
	{"tasks that send mail", "egress", "", []edit{{"TaskFirewall/SecurityGroupEgress", more{
		map[string]any{"CidrIp": "0.0.0.0/0", "IpProtocol": "tcp", "FromPort": 25, "ToPort": 25}}}}},
	{"a load balancer that reaches all", "egress", "", []edit{
		{"LoadBalancerFirewall/SecurityGroupEgress/0/ToPort", 65535}}},
	{"a load balancer without public addresses", "endpoint", "", []edit{{"LoadBalancerBE/Scheme", "internal"}}},
	{"TLS of old", "tls", "tls", []edit{{"Listener35201/SslPolicy", "ELBSecurityPolicy-2016-08"}}},
	{"a port without TLS", "tls", "tls", []edit{
		{"Listener35201/Protocol", "TCP"}, {"Listener35201/Certificates", nil}, {"Listener35201/SslPolicy", nil}}},
	{"another certificate", "tls", "tls", []edit{{"Listener35201/Certificates/0/CertificateArn", aCertificate}}},
	{"a service for everybody", "private-link", "internal", []edit{
		{"EndpointServicePermissions/AllowedPrincipals/0", "*"}}},
	{"past the firewall", "private-link", "internal", []edit{
		{"LoadBalancerBE/EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic", "off"}}},
	{"tasks asked at another port", "port", "", []edit{{"Targets7/Port", 35200}}},
	{"two ports to one address", "addresses", "", []edit{
		{"Service1/LoadBalancers/1", from("Service2/LoadBalancers/1")}}},
	{"another's port, waited for", "addresses", "", []edit{
		{"Service1/LoadBalancers", from("Service2/LoadBalancers")},
		{"Proxy/Resources/Service1/DependsOn", from("Proxy/Resources/Service2/DependsOn")}}},
	{"no PROXY header", "proxy-header", "", []edit{{targets + "2/Value", "false"}}},
	{"addresses preserved", "proxy-header", "", []edit{{targets + "3/Value", "true"}}},
	{"zones apart", "zones", "", []edit{{targets + "1/Value", "false"}}},
	{"tasks in one zone", "zones", "", []edit{
		{"Network/Resources/VpcTasksSubnet2Subnet/Properties/AvailabilityZone/Fn::Select/0", 0}}},
	{"subnets that have changed places", "subnets", "", []edit{
		{"LoadBalancerBE/Subnets", from(network + "Subnets")}, {network + "Subnets", from("LoadBalancerBE/Subnets")}}},
	{"a subnet for both", "subnets", "", []edit{{network + "Subnets/0", from("LoadBalancerBE/Subnets/0")}}},
	{"a header from any address", "subnets", "", []edit{
		{"squid.conf", instead{"acl load_balancer src ", "acl load_balancer src all "}}}},
	{"a zone whose header is not believed", "subnets", "", []edit{
		{"squid.conf", instead{"acl load_balancer src 10.0.0.0/27", "acl load_balancer src 10.0.0.0/28"}}}},
	{"a route to half of the internet", "routes", "", []edit{{aRoute + "DestinationCidrBlock", "0.0.0.0/1"}}},
	{"a route to another gateway", "routes", "", []edit{{aRoute + "GatewayId", "igw-0123456789abcdef0"}}},
	{"a subnet without a route", "routes", "", []edit{{aRoute + "RouteTableId", "rtb-0123456789abcdef0"}}},
	{"a header from anybody", "squid-entry", "", []edit{
		{"squid.conf", instead{"proxy_protocol_access allow load_balancer", "proxy_protocol_access allow all"}}}},
	{"an open port", "squid-entry", "", []edit{{"squid.conf", instead{"35201 require-proxy-header", "35201"}}}},
	{"a client more", "squid-access", "", []edit{
		{"squid.conf", instead{"acl clients", "acl clients src 8.8.8.8\nacl clients"}}}},
	{"no closing deny", "squid-access", "", []edit{{"squid.conf", instead{"http_access deny all\n", ""}}}},
	{"no password asked", "squid-access", "", []edit{
		{"squid.conf", instead{"allow clients authenticated", "allow clients"}}}},
	{"anything for a password", "squid-access", "", []edit{
		{"squid.conf", instead{"acl authenticated ext_user REQUIRED", "acl authenticated src all"}}}},
	{"another rule that allows", "squid-access", "", []edit{
		{"squid.conf", instead{"http_access deny manager", "http_access allow clients\nhttp_access deny manager"}}}},
	{"wrong passwords remembered", "squid-access", "", []edit{
		{"squid.conf", instead{"negative_ttl=0", "negative_ttl=60"}}}},
	{"any port for tunnels", "squid-access", "", []edit{
		{"squid.conf", instead{"http_access deny connect !connect_ports\n", ""}}}},
	{"no address of its own", "public-address", "", []edit{{network + "AssignPublicIp", "DISABLED"}}},
	{"a task role", "task-role", "", []edit{{"Task/TaskRoleArn", from("Task/ExecutionRoleArn")}}},
	{"a writable root", "hardened", "", []edit{{container + "ReadonlyRootFilesystem", false}}},
	{"capabilities", "hardened", "", []edit{{container + "LinuxParameters", nil}}},
	{"root", "hardened", "", []edit{{container + "User", "0:0"}}},
	{"an image of root's", "image-user", "", []edit{{"/Dockerfile", instead{"USER 10001:10001\n", ""}}}},
	{"a role for any secret", "roles", "", []edit{
		{"ExecutionRole/Policies/1/PolicyDocument/Statement/0/Resource", "*"}}},
	{"a role for any schedule", "roles", "", []edit{
		{"RotationRole/AssumeRolePolicyDocument/Statement/0/Condition", nil}}},
	{"a password in the environment", "credentials", "", []edit{
		{container + "Environment", more{map[string]any{"Name": "PASSWORD", "Value": "hunter2hunter2"}}}}},
	{"a password in the Dockerfile", "credentials", "", []edit{
		{"/Dockerfile", instead{"VOLUME", "ENV TOKEN=hunter2hunter2\nVOLUME"}}}},
	{"one secret for two", "users", "", []edit{
		{container + "Secrets/1/ValueFrom", from(container + "Secrets/0/ValueFrom")}}},
	{"a stream", "types", "", []edit{
		{"Proxy/Resources/Stream", map[string]any{"Type": "AWS::Kinesis::Stream", "Properties": map[string]any{}}}}},
	{"a name", "names", "", []edit{{"Service1/ServiceName", "proxy"}}},
	{"a log that stays", "removal", "", []edit{{"Proxy/Resources/Log/DeletionPolicy", "Retain"}}},
	{"fewer tasks while deploying", "capacity", "", []edit{
		{"Service1/DeploymentConfiguration/MinimumHealthyPercent", 50}}},
	{"a deployment that starts what is stopped", "stopped", "", []edit{{"Service1/DesiredCount", 1}}},
	{"no time for the last connection", "drain", "", []edit{{targets + "0/Value", "120"}}},
	{"two addresses at a time", "rotation", "", []edit{
		{"Rotation2/ScheduleExpression", from("Rotation1/ScheduleExpression")}}},
	{"rotations of one address alone", "rotation", "", []edit{{"Proxy/Resources/Rotation2", nil}}},
	{"a rotation that starts what is stopped", "rotation", "", []edit{{"Rotation1/Target/Input/Fn::Join/1/2",
		`","DesiredCount":1,"ForceNewDeployment":true,"Service":"`}}},
	{"nights as in winter", "rotation", "everything", []edit{{"Stop1/ScheduleExpressionTimezone", "UTC"}}},
	{"two architectures", "architecture", "", []edit{{"Task/RuntimePlatform/CpuArchitecture", "ARM64"}}},
	{"somebody else's image", "image", "", []edit{{container + "Image", "docker.io/ubuntu/squid:latest"}}},
	{"half a minute to stop", "stop", "", []edit{{container + "StopTimeout", 30}}},
	{"always healthy", "health", "", []edit{{container + "HealthCheck/Command", []any{"CMD-SHELL", "exit 0"}}}},
	{"another program", "health", "", []edit{{"/Dockerfile", instead{`entrypoint"]`, `other"]`}}}},
	{"no cluster to operate", "outputs", "", []edit{{"Proxy/Outputs/ClusterName", nil}}},
	{"connections cut after two missed checks", "unhealthy", "", []edit{{targets + "6/Value", "0"}}},
	{"connections forgotten early", "idle", "", []edit{{"Listener35201/ListenerAttributes/0/Value", "300"}}},
	{"what a user adds", "", "", []edit{
		{"Service1/Tags", more{map[string]any{"Key": "team", "Value": "mail"}}},
		{container + "Environment", more{map[string]any{"Name": "COLOUR", "Value": "blue"}}},
		{"Proxy/Outputs/Console", map[string]any{"Value": "https://example.com/"}}}},
	{"tasks before the listener", "order", "", []edit{{"Proxy/Resources/Service1/DependsOn/2", "Task"}}},
}

// edited returns an assembly with edits.
func edited(t *testing.T, files fstest.MapFS, edits ...edit) fstest.MapFS {
	t.Helper()
	now := maps.Clone(files)
	for _, e := range edits {
		if texts, ok := e.what.(instead); ok {
			name := named(t, now, e.where)
			text := string(now[name].Data)
			if !strings.Contains(text, texts[0]) {
				t.Fatalf("%s does not hold %q", name, texts[0])
			}
			now[name] = &fstest.MapFile{Data: []byte(strings.Replace(text, texts[0], texts[1], 1)), Mode: 0o644}
			continue
		}
		name, template, before, put := find(t, now, e.where)
		value := e.what
		switch v := value.(type) {
		case from:
			_, _, value, _ = find(t, files, string(v))
		case more:
			value = slices.Concat(before.([]any), v)
		}
		if put == nil || before == nil && value == nil {
			t.Fatalf("there is no %s", e.where)
		}
		put(value)
		text, err := json.MarshalIndent(template, "", " ")
		must.OK(t, err)
		now[name] = &fstest.MapFile{Data: text, Mode: 0o644}
	}
	return now
}

// find returns a template and its name, what is at a path, and how to change that.
func find(t *testing.T, files fstest.MapFS, where string) (name string, template, was any, put func(now any)) {
	t.Helper()
	steps := strings.Split(where, "/")
	if steps[0] != "Proxy" && steps[0] != "Network" {
		steps = slices.Concat([]string{"Proxy", "Resources", steps[0], "Properties"}, steps[1:])
	}
	name = named(t, files, steps[0]+".template.json")
	must.OK(t, json.Unmarshal(files[name].Data, &template))
	was, put = below(template, steps[1:])
	return name, template, was, put
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
