package check

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"squidfleet/params"
)

// Invariants returns what is wrong with the templates of an assembly's fleets, and with the images staged for them.
func Invariants(a *Assembly) []Finding {
	var all []Finding
	taken := map[*Stack]bool{}
	for _, proxy := range a.Stacks {
		if proxy.Parameters == nil {
			continue
		}
		f := &fleet{assembly: a, Params: proxy.Parameters, proxy: proxy, seen: map[string]bool{}}
		taken[proxy] = true
		if f.VpcID == "" {
			f.network = a.stack(f.StackName + "-Network")
			if f.network == nil {
				f.report(proxy.Name, none, "stacks", "there is no stack %s-Network for the VPC of the fleet's own", f.StackName)
			}
			taken[f.network] = true
		}
		f.check()
		all = append(all, f.findings...)
	}
	for _, s := range a.Stacks {
		if !taken[s] {
			all = append(all, Finding{s.Name, none, "stacks", "belongs to no fleet: no proxy stack with parameters (metadata " + ParametersKey + ") needs it", Invariant})
		}
	}
	return all
}

// fleet is one fleet under examination.
type fleet struct {
	*params.Params
	assembly       *Assembly
	proxy, network *Stack // network is nil in an imported VPC
	resources      []*resource
	findings       []Finding
	seen           map[string]bool // findings told, so that none is told twice

	// The resources by what they do, found through the references between them. One that is not found has no type, and whatever would look at it says nothing more.
	service, task, cluster, loadBalancer, listener, targets, log *resource
	loadBalancerFirewall, taskFirewall                           *resource
	executionRole                                                *resource
}

// resource is a resource of a template.
type resource struct {
	stack *Stack
	id    string
	kind  string         // its type
	raw   map[string]any // as JSON has it
	// properties are canonical.
	properties map[string]any
	// known holds the properties that a rule has looked at, and claimed says that a rule knows the resource.
	known   map[string]bool
	claimed bool
	// mayWait holds the resources of the template that it has a reason to name in DependsOn.
	mayWait []string
}

// ref is the canonical form of a Ref to the resource; att that of a GetAtt.
func (r *resource) ref() string { return opening + r.stack.Name + "/" + r.id + closing }

func (r *resource) att(attribute string) string {
	return opening + r.stack.Name + "/" + r.id + "." + attribute + closing
}

// missing stands for a resource that is not there.
func missing(s *Stack) *resource {
	return &resource{stack: s, id: "(missing)"}
}

func (r *resource) there() bool { return r.kind != "" }

func (f *fleet) report(template, id, rule, format string, args ...any) {
	finding := Finding{template, id, rule, fmt.Sprintf(format, args...), Invariant}
	if !f.seen[finding.String()] {
		f.seen[finding.String()] = true
		f.findings = append(f.findings, finding)
	}
}

// at reports something about a resource.
func (f *fleet) at(r *resource, rule, format string, args ...any) {
	f.report(r.stack.Name, r.id, rule, format, args...)
}

// check looks at everything. The order is that of the way from a client to a destination.
func (f *fleet) check() {
	if f.proxy.Name != f.StackName+"-Proxy" {
		f.report(f.proxy.Name, none, "stacks", "the fleet's parameters call it %s-Proxy", f.StackName)
	}
	if f.network != nil && (f.network.Account != f.proxy.Account || f.network.Region != f.proxy.Region) {
		f.report(f.network.Name, none, "stacks", "goes to account %q and region %q, and %s to account %q and region %q: they need each other in one place",
			f.network.Account, f.network.Region, f.proxy.Name, f.proxy.Account, f.proxy.Region)
	}
	if f.proxy.Raw == nil || f.network != nil && f.network.Raw == nil {
		return // Load has told why
	}
	f.read(f.proxy)
	if f.network != nil {
		f.read(f.network)
	}
	f.findRoles()
	f.inventory()

	f.checkNetwork()
	f.checkFirewalls()
	f.checkLoadBalancer()
	f.checkTargets()
	f.checkService()
	f.checkTask()
	f.checkExecutionRole()
	f.checkSecretsKept()
	f.checkLog()
	f.checkRotation()
	f.checkOutputs()
	f.checkImage()

	f.checkRemoval()
	f.checkSecrets()
	f.closeWorld()
}

// read takes a template apart.
func (f *fleet) read(s *Stack) {
	for _, section := range slices.Sorted(maps.Keys(s.Raw)) {
		switch section {
		case "Resources", "Outputs", "Parameters", "Rules", "Description":
		default:
			f.report(s.Name, none, "template", "%s: a fleet's template has no such section", section)
		}
	}
	description := "Squidfleet: a forward proxy whose egress addresses rotate"
	if s == f.network {
		description = "Squidfleet: the network of a forward proxy"
	}
	if s.Raw["Description"] != description {
		f.report(s.Name, none, "template", "Description: is %s, want %q", show(s.Raw["Description"]), description)
	}
	f.bootstrap(s)
	for _, id := range slices.Sorted(maps.Keys(s.section("Resources"))) {
		r := &resource{stack: s, id: id, properties: map[string]any{}, known: map[string]bool{}}
		r.raw, _ = s.section("Resources")[id].(map[string]any)
		r.kind, _ = r.raw["Type"].(string)
		resolve := resolver{assembly: f.assembly, stack: s, broken: func(format string, args ...any) { f.at(r, "reference", format, args...) }}
		if properties, ok := resolve.value(r.raw["Properties"]).(map[string]any); ok {
			r.properties = properties
		}
		f.resources = append(f.resources, r)
		f.attributes(r)
	}
}

// attributes looks at what a resource has beside type and properties.
func (f *fleet) attributes(r *resource) {
	for _, key := range slices.Sorted(maps.Keys(r.raw)) {
		switch key {
		case "Type", "Properties", "DeletionPolicy", "UpdateReplacePolicy":
		case "DependsOn":
			for i, id := range r.dependencies() {
				if slices.Contains(r.dependencies()[:i], id) {
					f.at(r, "reference", "DependsOn: names %q twice", id)
				}
				if _, there := r.stack.section("Resources")[id]; !there || id == r.id {
					f.at(r, "reference", "DependsOn: %q is no other resource of the template", id)
				}
			}
		case "Metadata":
			for _, d := range differences("Metadata", r.raw[key], object{"aws:cdk:path": matcher(r.constructPath)}) {
				f.at(r, "unknown", "%s: %s", d.path, d.message)
			}
		default:
			f.at(r, "unknown", "%s: no rule knows it", key)
		}
	}
}

// treePath matches the paths of constructs, which users' names are part of.
var treePath = regexp.MustCompile(`^[\w.@+-]+(?:/[\w.@+-]+)+$`)

// idHash ends the logical ids of constructs that are not direct children of their stack.
var idHash = regexp.MustCompile(`[0-9A-F]{8}$`)

// constructPath says what is wrong with the path that the CDK notes, which is what the logical id was made of
// (aws-cdk-lib 2.270.0, core/lib/private/uniqueid.js).
func (r *resource) constructPath(got any) string {
	path, _ := got.(string)
	below, inStack := strings.CutPrefix(path, r.stack.Name+"/")
	var id string
	for part := range strings.SplitSeq(below, "/") {
		part = strings.Map(func(c rune) rune {
			if c < 128 && (unicode.IsLetter(c) || unicode.IsDigit(c)) {
				return c
			}
			return -1
		}, part)
		if part != "Resource" && part != "Default" && !strings.HasSuffix(id, part) {
			id += part
		}
	}
	if !inStack || !treePath.MatchString(path) || id != r.id && id != idHash.ReplaceAllString(r.id, "") {
		return fmt.Sprintf("is %s, want the path of the construct whose logical id is %s", show(got), r.id)
	}
	return ""
}

// dependencies returns the resources that are named in DependsOn.
func (r *resource) dependencies() []string {
	switch d := r.raw["DependsOn"].(type) {
	case string:
		return []string{d}
	case []any:
		var all []string
		for _, id := range d {
			all = append(all, fmt.Sprint(id))
		}
		return all
	}
	return nil
}

// dependsOn says that a resource has to wait for another one, to which none of its properties refers. It may wait for one that does.
func (f *fleet) dependsOn(r, other *resource, rule, why string) {
	r.mayWait = append(r.mayWait, other.id)
	if r.there() && other.there() && !f.waits(r, other, len(f.resources)) {
		f.at(r, rule, "DependsOn: lacks %s: %s", other.id, why)
	}
}

// waits reports whether a resource names another one in DependsOn, or one that waits for it, at most so many steps away.
func (f *fleet) waits(r, other *resource, steps int) bool {
	if steps == 0 {
		return false
	}
	return slices.ContainsFunc(r.dependencies(), func(id string) bool {
		i := slices.IndexFunc(f.resources, func(next *resource) bool { return next.stack == r.stack && next.id == id })
		return i >= 0 && (f.resources[i] == other || f.waits(f.resources[i], other, steps-1))
	})
}

// bootstrap checks the parameter and the rule that every template of the CDK has, and that there are no others: a parameter could be given another value at deployment.
func (f *fleet) bootstrap(s *Stack) {
	want := object{
		"Parameters": object{"BootstrapVersion": object{
			"Type": "AWS::SSM::Parameter::Value<String>", "Default": s.bootstrapParameter(),
			"Description": "Version of the CDK Bootstrap resources in this environment, automatically retrieved from SSM Parameter Store. [cdk:skip]",
		}},
		"Rules": object{"CheckBootstrapVersion": object{"Assertions": list{object{
			"Assert":            object{"Fn::Not": list{object{"Fn::Contains": list{list{"1", "2", "3", "4", "5"}, object{"Ref": "BootstrapVersion"}}}}},
			"AssertDescription": "CDK bootstrap stack version 6 required. Please run 'cdk bootstrap' with a recent version of the CDK CLI.",
		}}}},
	}
	got := map[string]any{}
	for section := range want {
		got[section] = plain(s.Raw[section])
	}
	for _, d := range differences("", got, want) {
		f.report(s.Name, none, "template", "%s: %s", d.path, d.message)
	}
}

// plain is a JSON value with strings for its scalars and its references as they are.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		tree := make(map[string]any, len(v))
		for key, value := range v {
			tree[key] = plain(value)
		}
		return tree
	case []any:
		items := make([]any, 0, len(v))
		for _, value := range v {
			items = append(items, plain(value))
		}
		return items
	}
	return scalar(v)
}

// want compares some of a resource's properties with what they should be. All of them are known from then on; why, if any, ends each message.
func (f *fleet) want(r *resource, rule, why string, properties object) {
	r.claimed = true
	if !r.there() {
		return
	}
	got := map[string]any{}
	for name := range properties {
		r.known[name] = true
		if value, there := r.properties[name]; there {
			got[name] = value
		}
	}
	if why != "" {
		why = ": " + why
	}
	for _, d := range differences("", got, properties) {
		f.at(r, rule, "Properties.%s: %s%s", d.path, d.message, why)
	}
}

// closeWorld reports what no rule has looked at.
func (f *fleet) closeWorld() {
	for _, r := range f.resources {
		if !r.claimed {
			f.at(r, "unknown", "a %s that nothing in the fleet needs", r.kind)
			continue
		}
		for _, id := range r.dependencies() {
			if !slices.Contains(r.mayWait, id) {
				f.at(r, "unknown", "DependsOn: names %q, and no rule knows why; whatever the properties refer to is waited for anyway, and a circle cannot be deployed", id)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(r.properties)) {
			switch {
			case r.known[name]:
			case physicalName(name):
				f.at(r, "physical-name", "Properties.%s: is %s, want it left out: CloudFormation's own name lets two fleets live in one account, and the resource be replaced", name, show(r.properties[name]))
			default:
				f.at(r, "unknown", "Properties.%s: is %s, and no rule knows it", name, show(r.properties[name]))
			}
		}
	}
}

// physicalName reports whether a property gives a resource a name of its own.
func physicalName(property string) bool {
	return property == "Name" || property == "Family" || strings.HasSuffix(property, "Name")
}
