package check

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// output is what a fleet tells about itself.
type output struct {
	what  string
	value string // canonical
	whose string // the user whose name ends the description, if any
}

// wantedOutputs are the names and commands that a person needs to use the fleet at once.
func (f *fleet) wantedOutputs() []output {
	endpoint := fmt.Sprintf("%s:%d", f.loadBalancer.att("DNSName"), f.ListenerPort)
	outputs := []output{
		{what: "the endpoint", value: endpoint},
		{what: "the log group", value: f.log.ref()},
		{what: "how to follow the log", value: "aws logs tail --region " + f.region() + " --follow " + f.log.ref()},
		{what: "the cluster", value: f.cluster.ref()},
		{what: "the service", value: f.service.att("Name")},
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
		outputs = append(outputs, output{what: "how to try it", value: "curl --proxy http://" + endpoint + " --proxy-digest --proxy-user " + f.Users[0] + " " + url})
	}
	if f.RotateEvery != 0 {
		outputs = append(outputs, output{what: "the queue of failed rotations", value: f.first(f.proxy, "AWS::SQS::Queue").ref()})
	}
	if f.secretsManager() {
		for _, user := range f.Users {
			outputs = append(outputs, output{
				what: "how to read the password of " + user, whose: user,
				value: "aws secretsmanager get-secret-value --region " + f.region() + " --secret-id " + f.password(user).ref() + " --query SecretString --output text",
			})
		}
	}
	return outputs
}

// checkOutputs: a person finds the endpoint, each password and the log; nothing else is given away, and no name is taken that a second fleet would need.
func (f *fleet) checkOutputs() {
	wanted := f.wantedOutputs()
	told := make([]bool, len(wanted))
	for id, o := range f.outputs(f.proxy) {
		i := slices.IndexFunc(wanted, func(w output) bool { return w.value == o.value && strings.HasSuffix(o.what, w.whose) })
		switch {
		case text(o.what) != "":
			f.report(f.proxy.Name, id, "output", "Description: %s", text(o.what))
		case i < 0:
			f.report(f.proxy.Name, id, "output", "Value: is %s with the description %q, which is nothing that a person needs to know, or not how to ask for it", show(o.value), o.what)
		case told[i]:
			f.report(f.proxy.Name, id, "output", "Value: is %s, as another output's", show(o.value))
		default:
			told[i] = true
		}
	}
	for i, w := range wanted {
		if !told[i] {
			f.report(f.proxy.Name, none, "output", "no output tells %s: %s", w.what, show(w.value))
		}
	}
	if f.network == nil {
		return
	}
	needed := map[string]bool{}
	outputNames(f.proxy.Raw, needed)
	for id, o := range f.outputs(f.network) {
		r := f.byReference(o.value, "AWS::EC2::Subnet")
		if o.value != f.vpc() && o.value != r.ref() || !needed[id] {
			f.report(f.network.Name, id, "output", "Value: %s is nothing that the fleet's other stack needs", show(o.value))
		}
	}
}

// outputs returns a stack's outputs by their ids, with the descriptions as what.
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
		all[id] = output{what: description, value: value}
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
