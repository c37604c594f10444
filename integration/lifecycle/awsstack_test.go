package lifecycle

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"squidfleet/internal/awsapi"
	"squidfleet/internal/cfnspec"
)

// stack is one stack. It lives on after its deletion, when only its ARN still finds it.
type stack struct {
	name, arn  string
	status     string
	created    time.Time
	deployed   deployment // what it is made of
	resources  map[string]*resource
	kept       []*resource // retained when they were replaced or deleted
	outputs    map[string]string
	events     []object // the newest first
	changeSets []*changeSet
}

type deployment struct {
	template *template
	raw      map[string]string // parameters as given
	resolved map[string]any    // and as the template sees them
	tags     []object
}

type resource struct {
	stack, logicalID, kind string
	id                     string         // what Ref returns
	properties             map[string]any // worked out: there is no function in them
	declaration            declaration
}

// Resources returns what the stacks have of a type, "" for all, by stack and logical id.
func (s *Server) Resources(kind string) []*resource {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []*resource
	for _, st := range s.stacks {
		for _, r := range slices.Concat(slices.Collect(maps.Values(st.resources)), st.kept) {
			if kind == "" || r.kind == kind {
				found = append(found, r)
			}
		}
	}
	slices.SortFunc(found, func(a, b *resource) int {
		return cmp.Or(cmp.Compare(a.stack, b.stack), cmp.Compare(a.logicalID, b.logicalID))
	})
	return found
}

// find returns the resource of a type and id, nil where there is none.
func (s *Server) find(kind, id string) *resource {
	for _, st := range s.stacks {
		for _, r := range st.resources {
			if r.kind == kind && r.id == id {
				return r
			}
		}
	}
	return nil
}

const deleted = "DELETE_COMPLETE"

// stack finds a stack by its name, or by its ARN even when it is deleted.
func (s *Server) stack(nameOrARN string) *stack {
	for _, st := range s.stacks {
		if st.arn == nameOrARN || st.name == nameOrARN && st.status != deleted {
			return st
		}
	}
	return nil
}

// Status returns the state of a stack, "" where no stack has that name.
func (s *Server) Status(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st := s.stack(name); st != nil {
		return st.status
	}
	return ""
}

func (s *Server) mustStack(r *request) (*stack, error) {
	name := r.Text("StackName")
	if st := s.stack(name); st != nil {
		return st, nil
	}
	return nil, invalid("Stack with id %s does not exist", name)
}

func arn(resource string) string {
	return fmt.Sprintf("arn:%s:cloudformation:%s:%s:%s", partition, Region, Account, resource)
}

// stamp writes a time as AWS does.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func (st *stack) event(logicalID, id, kind, status, reason string) {
	st.events = slices.Insert(st.events, 0, object{
		"StackId": st.arn, "EventId": fmt.Sprintf("%s-%d", st.name, len(st.events)), "StackName": st.name,
		"LogicalResourceId": logicalID, "PhysicalResourceId": id, "ResourceType": kind,
		"Timestamp": stamp(time.Now()), "ResourceStatus": status, "ResourceStatusReason": reason,
	})
}

// operated notes the end of an operation on the stack.
func (st *stack) operated(verb string, err error) {
	reason := ""
	if st.status = verb + "_COMPLETE"; err != nil {
		st.status, reason = verb+"_FAILED", err.Error()
	}
	st.event(st.name, st.arn, "AWS::CloudFormation::Stack", st.status, reason)
}

type changeSet struct {
	name, arn, kind string
	status, reason  string
	deployment      deployment
	changes         []object
}

func (s *Server) createChangeSet(r *request) (any, error) {
	name, setName, kind := r.Text("StackName"), r.Text("ChangeSetName"), r.Text("ChangeSetType")
	st := s.stack(name)
	t, err := s.readTemplate(r)
	if err != nil {
		return nil, err
	}
	d := deployment{template: t, tags: r.list("Tags")}
	var previous map[string]string
	if st != nil {
		previous = st.deployed.raw
	}
	if d.raw, d.resolved, err = s.parameters(t, r.list("Parameters"), previous); err != nil {
		return nil, err
	}
	if st == nil {
		st = &stack{name: name, arn: arn("stack/" + name + "/" + s.id()), created: time.Now(),
			resources: map[string]*resource{}, status: "REVIEW_IN_PROGRESS"}
		s.stacks = append(s.stacks, st)
	}
	set := &changeSet{name: setName, arn: arn("changeSet/" + setName + "/" + s.id()), kind: kind, deployment: d}
	s.plan(st, set)
	st.changeSets = append(st.changeSets, set)
	return object{"Id": set.arn, "StackId": st.arn}, nil
}

// noChange is the very reason by which the CLI knows that there is nothing to do.
const noChange = "The submitted information didn't contain changes. " +
	"Submit different information to create a change set."

// plan works out what a change set would do: it deploys to a copy of the stack. A new resource has
// an id that none has, so that whatever refers to it is seen to change.
func (s *Server) plan(st *stack, set *changeSet) {
	set.status = "FAILED"
	after := &stack{name: st.name, arn: st.arn, resources: maps.Clone(st.resources)}
	if err := s.deploy(after, set.deployment); err != nil {
		set.reason = err.Error()
		return
	}
	all := maps.Clone(st.resources)
	maps.Copy(all, after.resources)
	for _, id := range slices.Sorted(maps.Keys(all)) {
		old, action := st.resources[id], "Modify"
		switch r := after.resources[id]; {
		case old == nil:
			action = "Add"
		case r == nil:
			action = "Remove"
		case len(changed(old, r)) == 0:
			continue
		}
		set.changes = append(set.changes, object{"Type": "Resource", "ResourceChange": object{
			"Action": action, "LogicalResourceId": id, "ResourceType": all[id].kind,
		}})
	}
	if len(set.changes) == 0 && st.deployed.template != nil &&
		reflect.DeepEqual(st.deployed.template.Outputs, set.deployment.template.Outputs) {
		set.reason = noChange
		return
	}
	set.status = "CREATE_COMPLETE"
}

// changeSetOf finds a change set by its ARN, or by its name in the stack.
func (s *Server) changeSetOf(r *request) (*stack, *changeSet, error) {
	name, stackName := r.Text("ChangeSetName"), r.Text("StackName")
	for _, st := range s.stacks {
		for _, set := range st.changeSets {
			if set.arn == name || set.name == name && (st.name == stackName || st.arn == stackName) {
				return st, set, nil
			}
		}
	}
	return nil, nil, awsapi.Refuse("ChangeSetNotFound", "ChangeSet [%s] does not exist", name)
}

func (s *Server) describeChangeSet(r *request) (any, error) {
	st, set, err := s.changeSetOf(r)
	if err != nil {
		return nil, err
	}
	execution := map[string]string{"CREATE_COMPLETE": "AVAILABLE", "FAILED": "UNAVAILABLE"}[set.status]
	return object{"ChangeSetName": set.name, "ChangeSetId": set.arn, "StackId": st.arn, "StackName": st.name,
		"ExecutionStatus": execution, "Status": set.status, "StatusReason": set.reason, "Changes": set.changes}, nil
}

func (s *Server) executeChangeSet(r *request) (any, error) {
	st, set, err := s.changeSetOf(r)
	if err != nil {
		return nil, err
	}
	st.changeSets = nil // The others were made for what the stack was before.
	err = s.deploy(st, set.deployment)
	st.operated(set.kind, err)
	return nil, nil
}

func (s *Server) deleteChangeSet(r *request) (any, error) {
	if st, set, err := s.changeSetOf(r); err == nil { // One that does not exist is deleted already.
		st.changeSets = slices.DeleteFunc(st.changeSets, func(other *changeSet) bool { return other == set })
	}
	return nil, nil
}

func (s *Server) deploy(st *stack, d deployment) error {
	st.deployed = d
	e := &evaluator{server: s, stack: st, made: map[string]*resource{}}
	outputs, err := e.run()
	if err != nil {
		return err
	}
	st.outputs = outputs
	for id, old := range st.resources {
		if e.made[id] == nil {
			st.retire(old, old.declaration.DeletionPolicy)
			delete(st.resources, id)
		}
	}
	return nil
}

func (s *Server) make(st *stack, r *resource) error {
	old, verb := st.resources[r.logicalID], "CREATE"
	if old != nil {
		changed := changed(old, r)
		if len(changed) == 0 {
			*r = *old
			return nil
		}
		verb = "UPDATE"
		replaces := func(name string) bool { return s.spec[r.kind].Properties[name].Replaces == cfnspec.Always }
		if r.kind == old.kind && !slices.ContainsFunc(changed, replaces) {
			r.id = old.id
		}
	}
	if r.id == "" {
		// The id, which Ref returns, is the name that the template gives, if it does.
		r.id = fmt.Sprintf("%s-%s-%s", st.name, r.logicalID, s.id())
		if identifier := s.spec[r.kind].PrimaryIdentifier; len(identifier) == 1 {
			if name, named := r.properties[identifier[0]].(string); named {
				r.id = name
			}
		}
		if s.find(r.kind, r.id) != nil {
			return invalid("%s already exists", r.id)
		}
	}
	st.resources[r.logicalID] = r
	st.event(r.logicalID, r.id, r.kind, verb+"_COMPLETE", "")
	if old != nil && old.id != r.id {
		st.retire(old, old.declaration.UpdateReplacePolicy)
	}
	return nil
}

func (st *stack) retire(r *resource, policy string) {
	status := deleted
	if policy == "Retain" {
		status = "DELETE_SKIPPED"
		st.kept = append(st.kept, r)
	}
	st.event(r.logicalID, r.id, r.kind, status, "")
}

func changed(before, after *resource) []string {
	if before.kind != after.kind {
		return []string{"Type"}
	}
	names := maps.Clone(before.properties)
	maps.Copy(names, after.properties)
	return slices.DeleteFunc(slices.Sorted(maps.Keys(names)), func(name string) bool {
		return reflect.DeepEqual(before.properties[name], after.properties[name])
	})
}

func (s *Server) deleteStack(r *request) (any, error) {
	st := s.stack(r.Text("StackName"))
	if st == nil || st.status == deleted {
		return nil, nil // A stack that does not exist is deleted already.
	}
	st.changeSets = nil
	for _, id := range slices.Sorted(maps.Keys(st.resources)) {
		st.retire(st.resources[id], st.resources[id].declaration.DeletionPolicy)
	}
	clear(st.resources)
	st.operated("DELETE", nil)
	return nil, nil
}

func (s *Server) describeStacks(r *request) (any, error) {
	st, err := s.mustStack(r)
	if err != nil {
		return nil, err
	}
	return object{"Stacks": []object{{
		"StackId": st.arn, "StackName": st.name, "CreationTime": stamp(st.created), "StackStatus": st.status,
		"Parameters": awsapi.Pairs("ParameterKey", "ParameterValue", st.deployed.raw),
		"Outputs":    awsapi.Pairs("OutputKey", "OutputValue", st.outputs), "Tags": st.deployed.tags,
	}}}, nil
}

func (s *Server) describeStackEvents(r *request) (any, error) {
	st, err := s.mustStack(r)
	if err != nil {
		return nil, err
	}
	return object{"StackEvents": st.events}, nil
}

// getTemplate answers for the processed template, too: there is no macro.
func (s *Server) getTemplate(r *request) (any, error) {
	st, err := s.mustStack(r)
	if err != nil {
		return nil, err
	}
	answer := object{}
	if st.deployed.template != nil { // A stack that only has a change set has none.
		answer["TemplateBody"] = st.deployed.template.text
	}
	return answer, nil
}
