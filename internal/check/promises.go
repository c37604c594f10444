package check

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Promise is a property of every fleet that a document promises. It compares what an assembly
// says with the values of the parameters, calls none of the code that wrote the assembly, and
// reports one problem at most.
type Promise struct {
	Name               string // the rule of its finding
	Document, Sentence string // where it is promised
	Broken             *Finding
}

// Promises are all, with what breaks them in the assembly: in the order of the way from a client to
// a destination, then of a task's life, then of what is about all resources. An assembly that waits
// for a lookup has the first alone to keep.
func (a *Assembly) Promises() []Promise {
	lookups := Promise{"lookups", "docs/deploy.md", "keeps the answer in `cdk.context.json`", nil}
	if a.pending != "" {
		lookups.Broken = &Finding{File: "manifest.json", Message: "waits for " + a.pending +
			": run cdk synth with credentials"}
		return []Promise{lookups}
	}
	return slices.Concat([]Promise{lookups}, a.networkPromises(), a.imagePromises(), a.taskPromises(),
		a.stackPromises())
}

// Broken returns the promises that the assembly breaks.
func (a *Assembly) Broken() (findings []Finding) {
	for _, p := range a.Promises() {
		if p.Broken != nil {
			findings = append(findings, Finding{p.Broken.File, p.Name, p.Broken.Message})
		}
	}
	return findings
}

const (
	balancer = "AWS::ElasticLoadBalancingV2::LoadBalancer"
	targets  = "AWS::ElasticLoadBalancingV2::TargetGroup"
	listener = "AWS::ElasticLoadBalancingV2::Listener"
	service  = "AWS::ECS::Service"
	cluster  = "AWS::ECS::Cluster"
	task     = "AWS::ECS::TaskDefinition"
	schedule = "AWS::Scheduler::Schedule"
	queue    = "AWS::SQS::Queue"
	secret   = "AWS::SecretsManager::Secret"

	attribute = "TargetGroupAttributes."
	awsvpc    = "NetworkConfiguration.AwsvpcConfiguration."
	box       = "ContainerDefinitions.0."
	logGroup  = box + "LogConfiguration.Options.awslogs-group"

	unprivileged = `^[1-9]\d*:[1-9]\d*$` // a user and a group
)

// each returns the first problem with a resource of a type; "" is every type.
func (a *Assembly) each(kind string, problem func(r *resource) string) *Finding {
	for _, r := range a.resources {
		if r.kind == kind || kind == "" && !strings.HasPrefix(r.kind, "(") {
			if p := problem(r); p != "" {
				return r.wrong("%s", p)
			}
		}
	}
	return nil
}

// is wants a value at a path of each resource of a type, or nil for none.
func (a *Assembly) is(kind, path string, want any) *Finding {
	return a.each(kind, func(r *resource) string {
		for _, got := range r.values(path) {
			pattern, ok := want.(*regexp.Regexp)
			if ok && !pattern.MatchString(strings.Join(texts([]any{got}), "")) || !ok && written(got) != written(want) {
				return fmt.Sprintf("%s: is %s, want %s", path, show(got), show(want))
			}
		}
		return ""
	})
}

// matches wants a text that matches a pattern, as is wants a value.
func (a *Assembly) matches(kind, path, pattern string) *Finding {
	return a.is(kind, path, regexp.MustCompile(pattern))
}

// none wants no value at any of the paths.
func (a *Assembly) none(kind string, paths ...string) (found *Finding) {
	for _, path := range paths {
		found = cmp.Or(found, a.is(kind, path, nil))
	}
	return found
}

// lists wants values at a path of all resources of a type together, in any order, and no others.
func (a *Assembly) lists(kind, path string, want []string) *Finding {
	if d := unlike(a.texts(kind, path), want); d != "" {
		return a.wrong("%s: %s: %s", kind, path, d)
	}
	return nil
}

// wrong is a finding about the proxy stack's template.
func (a *Assembly) wrong(format string, arguments ...any) *Finding {
	return &Finding{File: a.file(a.name), Message: fmt.Sprintf(format, arguments...)}
}

// unlike says what one list has and another lacks, in whatever order they are.
func unlike(got, want []string) string {
	missing := map[string]bool{} // whether it is, of what is wanted
	for _, w := range want {
		missing[w] = true
	}
	for _, g := range got {
		if _, wanted := missing[g]; !wanted {
			return "has " + g + ", want that left out"
		}
		missing[g] = false
	}
	for _, w := range want {
		if missing[w] {
			return "lacks " + w
		}
	}
	return ""
}
