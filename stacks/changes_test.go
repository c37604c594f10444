package stacks_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"squidfleet/internal/cfnspec"
	"squidfleet/internal/doctest"
	"squidfleet/internal/must"
	"squidfleet/params"
)

// variant is the change of one parameter. Both sides are changes of cdk.json's context.
type variant struct {
	key, change   string
	before, after map[string]any
}

const certificate = "arn:aws:acm:eu-west-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef"

var inside = only("endpoint", "internal")

// variants has at least one change of every parameter.
var variants = []variant{
	{"stackName", "`Squidfleet` to `Second`", nil, only("stackName", "Second")},
	{"clientCidrs", "another block", nil, only("clientCidrs", "198.51.100.7/32")},
	{"clientCidrs", "the first IPv6 block", nil, only("clientCidrs", "203.0.113.0/24,2001:db8::/32")},
	{"allowAnyClient", "`false` to `true`", nil, only("allowAnyClient", "true")},
	{"clientSecurityGroups", "a group", imported(inside),
		imported(with(inside, "clientSecurityGroups", "sg-0a1b2c3d"))},
	{"endpoint", "`public` to `internal`", nil, only("endpoint", "internal")},
	{"privateLinkPrincipals", "the first", inside,
		with(inside, "privateLinkPrincipals", "arn:aws:iam::111122223333:root")},
	{"certificateArn", "a certificate", nil, only("certificateArn", certificate)},
	{"domainName", "a name in `hostedZoneId`", nil,
		map[string]any{"domainName": "proxy.example.com", "hostedZoneId": "Z0123456789ABCDEFGHIJ"}},
	{"hostedZoneId", "for `domainName`", map[string]any{"domainName": "a.b", "certificateArn": certificate},
		map[string]any{"domainName": "a.b", "certificateArn": certificate, "hostedZoneId": "Z0123456789ABCDEFGHIJ"}},
	{"auth", "`digest` to `basic`", nil, map[string]any{"auth": "basic", "allowPlaintextBasic": "true"}},
	{"auth", "`digest` to `none`", nil, only("auth", "none")},
	{"allowPlaintextBasic", "`false` to `true`", nil, only("allowPlaintextBasic", "true")},
	{"users", "one more", nil, only("users", "proxy,alice")},
	{"users", "one less", only("users", "proxy,alice"), nil},
	{"realm", "another", nil, only("realm", "other")},
	{"digest", "`fleet` to `squid`", only("fleetSize", "1"), map[string]any{"fleetSize": "1", "digest": "squid"}},
	{"credentials", "`secretsmanager` to `image`", nil, only("credentials", "image")},
	{"listenerPort", "another", nil, only("listenerPort", "35202")},
	{"addressPorts", "`true` to `false`", nil, only("addressPorts", "false")},
	{"idleTimeout", "`350s` to `10m`", nil, only("idleTimeout", "10m")},
	{"httpPorts", "one more", nil, only("httpPorts", "80,8080")},
	{"connectPorts", "one more", nil, only("connectPorts", "443,80,8443")},
	{"allowedDomains", "a name", nil, only("allowedDomains", ".example.com")},
	{"blockedDomains", "a name", nil, only("blockedDomains", ".example.com")},
	{"blockedCidrs", "a block", nil, only("blockedCidrs", "1.2.3.0/24")},
	{"allowedPrivateCidrs", "a block", nil, only("allowedPrivateCidrs", "192.168.7.0/24")},
	{"fleetSize", "2 to 3", nil, only("fleetSize", "3")},
	{"cpu", "256 to 512", only("memory", "1024"), map[string]any{"memory": "1024", "cpu": "512"}},
	{"memory", "512 to 1024", nil, only("memory", "1024")},
	{"architecture", "`x86_64` to `arm64`", nil, only("architecture", "arm64")},
	{"spotShare", "0 to 50", nil, only("spotShare", "50")},
	{"rotateEvery", "`1h` to `2h`", nil, only("rotateEvery", "2h")},
	{"rotateEvery", "`1h` to `off`", nil, only("rotateEvery", "off")},
	{"drainTimeout", "`2m` to `1m`", nil, only("drainTimeout", "1m")},
	{"activeHours", "`always` to hours", nil, only("activeHours", "mon-fri 07:00-19:00")},
	{"vpcCidr", "another block", nil, only("vpcCidr", "10.1.0.0/16")},
	{"zones", "none to two", nil, only("zones", "eu-west-1b,eu-west-1c")},
	{"vpcId", "none to one", nil, imported(nil)},
	{"logRetentionDays", "30 to 7", nil, only("logRetentionDays", "7")},
	{"metrics", "`true` to `false`", nil, only("metrics", "false")},
	{"alarmEmail", "none to one", nil, only("alarmEmail", "ops@example.com")},
	{"alarmTopicArn", "none to one", nil, only("alarmTopicArn", "arn:aws:sns:eu-west-1:123456789012:alarms")},
	{"dashboard", "`true` to `false`", nil, only("dashboard", "false")},
	{"timezone", "another", nil, only("timezone", "Asia/Tokyo")},
	{"tags", "one more", nil, only("tags", "team=crawlers")},
}

// effect is what a person notices of a change.
type effect string

const (
	nothing    effect = "nothing"
	otherFleet effect = "another fleet beside the first, which stays until it is destroyed under its own name"
	newNetwork effect = "**do not change it in place**: the tasks would move to a new network while the old one " +
		"cannot be deleted. Deploy a second fleet under another `stackName`, then destroy the first"
	endpoint effect = "a new endpoint, to which nobody can connect until the new tasks are healthy"
	newPort  effect = "clients must use the new port; nobody can connect until the new tasks are healthy, " +
		"and connections may be cut"
	clients    effect = "who may connect, at once"
	redeployed effect = "every task is replaced as in a rotation: new egress addresses, old connections drain"
	scaling    effect = "addresses are added, or taken away as in a rotation; the others stay"
	ports      effect = "ports of addresses open, or close"
	encrypted  effect = "clients must connect with TLS, or without it, at once"
	name       effect = "the name leads to the proxy, or no longer does"
	linked     effect = "PrivateLink endpoints can be made, or those that there are lead nowhere"
	newSecret  effect = "a secret is generated"
	lostSecret effect = "a secret is deleted at once, without a recovery window"
	mail       effect = "AWS sends a mail with a link, without which no alarm comes"
	oldLog     effect = "CloudWatch Logs deletes, or keeps, older events"
)

// effects are in the order of a row, the gravest first.
var effects = []effect{
	otherFleet, newNetwork, endpoint, newPort, encrypted, name, linked, clients, redeployed, scaling, ports, newSecret,
	lostSecret, mail, oldLog, nothing,
}

// rule says what is noticed when a resource is changed in place. Whether a change replaces the
// resource is AWS's own data, see package cfnspec.
type rule struct {
	kind, property string
	effect         effect
}

// When ECS starts new tasks, that rules of security groups hold at once, and what retention does:
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UpdateService.html
// https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html
// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
// The rest changes without interruption (template reference) and is in no connection's way.
var rules = []rule{
	{"AWS::ECS::Service", "TaskDefinition", redeployed},
	{"AWS::ECS::Service", "NetworkConfiguration", redeployed},
	{"AWS::ECS::Service", "LoadBalancers", redeployed},
	{"AWS::ECS::Service", "CapacityProviderStrategy", redeployed},
	{"AWS::EC2::SecurityGroup", "SecurityGroupIngress", clients},
	{"AWS::EC2::SecurityGroup", "SecurityGroupEgress", nothing},
	{"AWS::ElasticLoadBalancingV2::LoadBalancer", "IpAddressType", nothing},
	{"AWS::ElasticLoadBalancingV2::LoadBalancer", "EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic", nothing},
	{"AWS::ElasticLoadBalancingV2::LoadBalancer", "SecurityGroups", nothing},
	{"AWS::ElasticLoadBalancingV2::LoadBalancer", "Subnets", newNetwork},
	{"AWS::ElasticLoadBalancingV2::Listener", "ListenerAttributes", nothing},
	{"AWS::ElasticLoadBalancingV2::Listener", "Protocol", encrypted},
	{"AWS::ElasticLoadBalancingV2::Listener", "Certificates", nothing},
	{"AWS::ElasticLoadBalancingV2::Listener", "SslPolicy", nothing},
	// The listener gets its new, still empty target group before the service's new tasks are in it.
	{"AWS::ElasticLoadBalancingV2::Listener", "DefaultActions", newPort},
	{"AWS::ElasticLoadBalancingV2::TargetGroup", "TargetGroupAttributes", nothing},
	{"AWS::IAM::Role", "Policies", nothing},
	{"AWS::IAM::Role", "AssumeRolePolicyDocument", nothing},
	{"AWS::CloudWatch::Dashboard", "DashboardBody", nothing},
	{"AWS::Logs::LogGroup", "RetentionInDays", oldLog},
	{"AWS::Scheduler::Schedule", "ScheduleExpression", nothing},
	{"AWS::Scheduler::Schedule", "Target", nothing},
	{"AWS::SQS::QueuePolicy", "PolicyDocument", nothing},
}

// comings are what is noticed when a resource is added, removed or replaced.
var comings = map[string]struct{ added, removed, replaced effect }{
	"AWS::EC2::VPC":                             {newNetwork, newNetwork, newNetwork},
	"AWS::ECS::Service":                         {added: scaling, removed: scaling},
	"AWS::ElasticLoadBalancingV2::Listener":     {ports, ports, newPort},
	"AWS::ElasticLoadBalancingV2::LoadBalancer": {replaced: endpoint},
	"AWS::EC2::VPCEndpointService":              {linked, linked, linked},
	"AWS::Route53::RecordSet":                   {name, name, name},
	"AWS::SNS::Subscription":                    {added: mail},
	"AWS::SecretsManager::Secret":               {newSecret, lostSecret, lostSecret},
}

// quiet are the types of which only what refers to them is noticed when they are added, removed
// or replaced.
var quiet = []string{
	"AWS::CloudWatch::Dashboard", "AWS::CloudWatch::Alarm", "AWS::Events::Rule", "AWS::Logs::MetricFilter",
	"AWS::SNS::TopicPolicy", "AWS::SNS::Topic",
	"AWS::CertificateManager::Certificate", "AWS::EC2::VPCEndpointServicePermissions", "AWS::Logs::QueryDefinition",
	"AWS::EC2::InternetGateway", "AWS::EC2::Route", "AWS::EC2::RouteTable", "AWS::EC2::SecurityGroup",
	"AWS::EC2::SecurityGroupIngress", "AWS::EC2::Subnet", "AWS::EC2::SubnetRouteTableAssociation",
	"AWS::EC2::VPCCidrBlock", "AWS::EC2::VPCGatewayAttachment", "AWS::ECS::TaskDefinition",
	"AWS::ElasticLoadBalancingV2::TargetGroup", "AWS::IAM::Role", "AWS::SQS::Queue", "AWS::SQS::QueuePolicy",
	"AWS::Scheduler::Schedule", "AWS::Scheduler::ScheduleGroup",
}

func TestEveryParameterHasItsRowInTheTableOfChanges(t *testing.T) {
	spec, err := cfnspec.Load("..")
	must.OK(t, err)
	var table strings.Builder
	table.WriteString("| parameter | change | in place | replaced | added, removed | what is noticed |\n" +
		"|---|---|---|---|---|---|\n")
	rest := variants
	for _, declared := range params.Declarations() {
		rows := 0
		for ; len(rest) > 0 && rest[0].key == declared.Key; rest = rest[1:] {
			rows++
			table.WriteString(row(t, spec, rest[0]))
		}
		if rows == 0 {
			t.Errorf("no change of parameter %q is tried: add one to variants, in the order of params", declared.Key)
		}
	}
	if len(rest) > 0 {
		t.Errorf("variant of %q: no such parameter, or out of order", rest[0].key)
	}
	doctest.Section(t, "..", "changes", table.String())
}

func row(t *testing.T, spec cfnspec.Spec, v variant) string {
	t.Helper()
	before, after := synth(t, v.before), synth(t, v.after)
	cells := func(inPlace, replaced, comes string, effects ...effect) string {
		var noticed []string
		for _, e := range effects {
			noticed = append(noticed, string(e))
		}
		return fmt.Sprintf("| `%s` | %s | %s | %s | %s | %s |\n",
			v.key, v.change, inPlace, replaced, comes, strings.Join(noticed, "; "))
	}
	if v.key == "stackName" {
		// CloudFormation knows a stack by its name and nothing else.
		return cells("", "", "both stacks", otherFleet)
	}
	c := compare(t, spec, before, after)
	if slices.Contains(c.effects, newNetwork) {
		return cells("", "", "", newNetwork)
	}
	return cells(types(c.inPlace), types(c.replaced), types(append(c.added, c.removed...)), c.effects...)
}

// types names resources by their types, each once.
func types(resources []resource) string {
	found := map[string]bool{}
	for _, r := range resources {
		parts := strings.Split(r.Type, "::")
		found[parts[2]] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(found)), ", ")
}

// comparison is what CloudFormation would do.
type comparison struct {
	inPlace, replaced, added, removed []resource
	effects                           []effect
}

// compare finds what becomes of each resource of both stacks. A resource that refers to a
// replaced one changes too.
func compare(t *testing.T, spec cfnspec.Spec, before, after *assembly) comparison {
	t.Helper()
	old, recent := before.everything(), after.everything()
	var c comparison
	noticed := map[effect]bool{}
	gone := map[string]bool{} // replaced, by stack and logical id
	coming := func(r resource, pick func(added, removed, replaced effect) effect) {
		known, loud := comings[r.Type]
		if !loud && !slices.Contains(quiet, r.Type) {
			t.Errorf("a %s comes or goes: say in comings or quiet what is noticed of it", r.Type)
		}
		if e := pick(known.added, known.removed, known.replaced); e != "" {
			noticed[e] = true
		}
	}
	changed := map[string][]string{}
	for again := true; again; {
		again = false
		for id, r := range recent {
			was, existed := old[id]
			if !existed || gone[id] {
				continue
			}
			stack, _, _ := strings.Cut(id, "/")
			properties := changedProperties(was, r, func(value any) bool {
				return slices.ContainsFunc(after.references(stack, value), func(id string) bool { return gone[id] })
			})
			changed[id] = properties
			for _, name := range properties {
				if spec[r.Type].Properties[name].Replaces == cfnspec.Always {
					gone[id], again = true, true
				}
			}
		}
	}
	for id, r := range recent {
		switch _, existed := old[id]; {
		case !existed:
			c.added = append(c.added, r)
			coming(r, func(added, _, _ effect) effect { return added })
		case gone[id]:
			c.replaced = append(c.replaced, r)
			coming(r, func(_, _, replaced effect) effect { return replaced })
		case len(changed[id]) > 0:
			c.inPlace = append(c.inPlace, r)
			for _, name := range changed[id] {
				if spec[r.Type].Properties[name].Replaces == cfnspec.Sometimes {
					t.Errorf("%s: a change of %s replaces the resource sometimes: no rule says when", id, name)
				}
				if name == "Tags" { // Running tasks keep theirs.
					continue
				}
				i := slices.IndexFunc(rules, func(one rule) bool {
					return one.kind == r.Type && one.property == name
				})
				if i < 0 {
					t.Errorf("%s of a %s changes: no rule says what is noticed of it", name, r.Type)
					continue
				}
				noticed[rules[i].effect] = true
			}
		}
	}
	for id, r := range old {
		if _, stays := recent[id]; !stays {
			c.removed = append(c.removed, r)
			coming(r, func(_, removed, _ effect) effect { return removed })
		}
	}
	if noticed[endpoint] {
		delete(noticed, newPort)
		delete(noticed, clients)
	}
	if noticed[newPort] || noticed[ports] {
		delete(noticed, clients) // the same clients, at other ports
	}
	if noticed[newPort] {
		delete(noticed, ports)
	}
	for _, e := range effects {
		if noticed[e] && (e != nothing || len(c.effects) == 0) {
			c.effects = append(c.effects, e)
		}
	}
	if len(c.effects) == 0 {
		c.effects = []effect{nothing}
	}
	return c
}

// everything returns the resources of both stacks, with the stack's role before the logical id.
func (a *assembly) everything() map[string]resource {
	all := map[string]resource{}
	for role, stack := range a.templates {
		for id, r := range stack.Resources {
			all[role+"/"+id] = r
		}
	}
	return all
}

// changedProperties returns the properties that differ, or whose value refers to a resource that
// is gone.
func changedProperties(before, after resource, gone func(value any) bool) []string {
	names := map[string]any{}
	maps.Copy(names, before.Properties)
	maps.Copy(names, after.Properties)
	var changed []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if value := after.Properties[name]; !reflect.DeepEqual(before.Properties[name], value) || gone(value) {
			changed = append(changed, name)
		}
	}
	return changed
}

// references returns what a value refers to, through the other stack's outputs too.
func (a *assembly) references(stack string, value any) []string {
	switch v := value.(type) {
	case []any:
		var all []string
		for _, item := range v {
			all = append(all, a.references(stack, item)...)
		}
		return all
	case map[string]any:
		if name, is := v["Ref"].(string); is {
			return []string{stack + "/" + name}
		}
		if attribute, is := v["Fn::GetAtt"].([]any); is {
			return []string{stack + "/" + attribute[0].(string)}
		}
		if other, is := v["Fn::GetStackOutput"].(map[string]any); is {
			return a.references("Network", a.templates["Network"].Outputs[other["OutputName"].(string)].Value)
		}
		var all []string
		for _, item := range v {
			all = append(all, a.references(stack, item)...)
		}
		return all
	}
	return nil
}
