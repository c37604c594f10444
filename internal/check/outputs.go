package check

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
)

// output is what a fleet tells about itself.
type output struct {
	description string
	value       string // canonical
}

// wantedOutputs are the names and commands that a person needs to use the fleet at once, by their ids: by those, command squidfleet finds what it works with.
func (f *fleet) wantedOutputs() map[string]output {
	endpoint := fmt.Sprintf("%s:%d", f.loadBalancer.att("DNSName"), f.ListenerPort)
	outputs := map[string]output{
		"Endpoint":    {"Host and port of the proxy", endpoint},
		"LogGroup":    {"Log group of the tasks", f.log.ref()},
		"FollowLog":   {"Shows the log as it is written", "aws logs tail --region " + f.region() + " --follow " + f.log.ref()},
		"ClusterName": {"ECS cluster of the fleet", f.cluster.ref()},
		"ServiceName": {"ECS service of the fleet", f.service.att("Name")},
	}
	const page = "checkip.amazonaws.com"
	url := ""
	switch {
	case slices.Contains(f.ConnectPorts, 443):
		url = "https://" + page
	case slices.Contains(f.HTTPPorts, 80):
		url = "http://" + page
	}
	if url != "" {
		outputs["TryIt"] = output{"Asks for the password and shows an egress address", "curl --proxy http://" + endpoint + " --proxy-digest --proxy-user " + f.Users[0] + " " + url}
	}
	if f.RotateEvery != 0 {
		outputs["RotationFailures"] = output{"Queue of the rotations that could not be started; empty when all is well", f.first(f.proxy, "AWS::SQS::Queue").ref()}
	}
	if f.secretsManager() {
		for _, user := range f.Users {
			outputs[passwordOutput(user, outputs)] = output{
				"Shows the password of the user " + user,
				"aws secretsmanager get-secret-value --region " + f.region() + " --secret-id " + f.password(user).ref() + " --query SecretString --output text",
			}
		}
	}
	return outputs
}

// noLetter matches what an id of an output cannot have.
var noLetter = regexp.MustCompile(`[^A-Za-z0-9]`)

// passwordOutput is the id of the output about a user's password: the letters and digits of the name, and a number where that is taken.
func passwordOutput(user string, taken map[string]output) string {
	plain := "PasswordOf" + noLetter.ReplaceAllString(user, "")
	id := plain
	for n := 2; ; n++ {
		if _, there := taken[id]; !there {
			return id
		}
		id = fmt.Sprintf("%sX%d", plain, n)
	}
}

// checkOutputs: a person finds the endpoint, each password and the log; nothing else is given away, and no name is taken that a second fleet would need.
func (f *fleet) checkOutputs() {
	wanted, told := f.wantedOutputs(), f.outputs(f.proxy)
	for id, o := range told {
		w, needed := wanted[id]
		switch {
		case !needed:
			f.report(f.proxy.Name, id, "output", "is %s, which is nothing that a person needs to know", show(o.value))
		case o.description != w.description:
			f.report(f.proxy.Name, id, "output", "Description: is %q, want %q", o.description, w.description)
		case o.value != w.value:
			f.report(f.proxy.Name, id, "output", "Value: is %s, want %s", show(o.value), show(w.value))
		}
	}
	for id, w := range wanted {
		if _, there := told[id]; !there {
			f.report(f.proxy.Name, id, "output", "is missing, want %s", show(w.value))
		}
	}
	if f.network == nil {
		return
	}
	needed := map[string]bool{}
	outputNames(f.proxy.Raw, needed)
	for id, o := range f.outputs(f.network) {
		r := f.byReference(o.value, "AWS::EC2::Subnet")
		if o.value != f.vpc() && o.value != r.ref() || !needed[id] || o.description != "" {
			f.report(f.network.Name, id, "output", "Value: %s is nothing that the fleet's other stack needs", show(o.value))
		}
	}
}

// outputs returns a stack's outputs by their ids.
func (f *fleet) outputs(s *Stack) map[string]output {
	all := map[string]output{}
	for _, id := range slices.Sorted(maps.Keys(s.section("Outputs"))) {
		resolve := resolver{assembly: f.assembly, stack: s, broken: func(format string, args ...any) { f.report(s.Name, id, "reference", format, args...) }}
		tree, _ := resolve.value(s.section("Outputs")[id]).(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(tree)) {
			switch key {
			case "Description", "Value":
			case "Export":
				f.report(s.Name, id, "output", "Export: a stack cannot change what another one imports, and no two fleets may export one name")
			default:
				f.report(s.Name, id, "unknown", "%s: no rule knows it", key)
			}
		}
		value, ok := tree["Value"].(string)
		if !ok {
			f.report(s.Name, id, "output", "Value: is %s, want a text", show(tree["Value"]))
		}
		description, _ := tree["Description"].(string)
		all[id] = output{description, value}
	}
	return all
}

// outputNames collects the outputs of other stacks that a template refers to.
func outputNames(v any, names map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		if name, ok := v["OutputName"].(string); ok {
			names[name] = true
		}
		for _, value := range v {
			outputNames(value, names)
		}
	case []any:
		for _, value := range v {
			outputNames(value, names)
		}
	}
}
