// Package check judges a synthesised CDK assembly before anything of it goes to AWS. It reads the assembly alone (manifest, templates, asset manifests and the
// staged image) and so does not care who wrote it.
//
// Three layers look at an assembly:
//
//   - AWS's own offline validation with the rules of cdk-preflight ([Validate]): what CloudFormation and the services would refuse;
//   - invariants ([Invariants]): what the services would accept although it is not what the fleet's parameters say or what the project promises. They are a closed world:
//     a type of resource, a property, a text, a label or a dependency that no invariant wants is a finding, so that nothing comes into a template unreviewed;
//   - the assembly itself ([Load]): files that are missing, hashes that do not fit, places and roles other than the bootstrap's, lookups that are stale.
//
// The parameters that an assembly was made from stand in its metadata under [ParametersKey].
package check

import (
	"cmp"
	"context"
	"fmt"
	"slices"
)

// ParametersKey is the key of the metadata entry of a fleet's proxy stack that holds its parameters: a params.Params as encoding/json writes it.
const ParametersKey = "squidfleet:parameters"

// Finding is something wrong with an assembly.
type Finding struct {
	Template string // name of the stack, or of the assembly's file that is wrong
	Resource string // logical id; "-" when the finding is not about one
	Rule     string // what Exceptions name
	Message  string // what is wrong and what would be right, path-first
	Layer    Layer  // who found it
}

// Layer says who found a finding.
type Layer string

const (
	// AWS is the CloudFormation validation engine with its own rules.
	AWS Layer = "aws"
	// Preflight are cdk-preflight's rules.
	Preflight Layer = "preflight"
	// Invariant are this package's rules for templates.
	Invariant Layer = "invariant"
	// Files are this package's rules for the rest of the assembly.
	Files Layer = "assembly"
)

// String returns the finding on one line: template: logical id: rule: message.
func (f Finding) String() string {
	return fmt.Sprintf("%s: %s: %s: %s", f.Template, f.Resource, f.Rule, f.Message)
}

// none stands where a finding is about no resource in particular.
const none = "-"

// Options say what Run checks.
type Options struct {
	// Assembly is the directory that cdk synth wrote.
	Assembly string
	// Context is the file in which the CDK CLI keeps what it looked up; it need not be there.
	Context string
	// Exceptions are the findings that are accepted, see ReadExceptions.
	Exceptions []Exception
	// NodeModules is the directory below or in which npm installed the packages of package.json; Node.js looks there and in its parents.
	NodeModules string
}

// Run returns everything that is wrong with an assembly, sorted, without what an exception accepts. The error says that the check itself could not be made.
func Run(ctx context.Context, o Options) ([]Finding, error) {
	assembly, findings := Load(o.Assembly, o.Context)
	findings = append(findings, Invariants(assembly)...)
	validated, err := Validate(ctx, o.NodeModules, assembly.Stacks...)
	if err != nil {
		return nil, err
	}
	for _, found := range validated {
		findings = append(findings, found...)
	}
	return Sort(Except(findings, o.Exceptions)), nil
}

// Sort sorts findings by template, resource, rule and message, and drops those that are told twice.
func Sort(findings []Finding) []Finding {
	slices.SortFunc(findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Template, b.Template), cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Message, b.Message), cmp.Compare(a.Layer, b.Layer))
	})
	return slices.Compact(findings)
}
