package awsstandin

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// stack is one stack. It lives on after its deletion, when only its ARN still finds it.
type stack struct {
	name, arn    string
	status, next string // next is the status after the next look, "" for the same one
	created      time.Time
	newest       time.Time  // of the events
	deployed     deployment // what it is made of
	resources    map[string]*resource
	kept         []*resource // retained when they were replaced or deleted
	outputs      []outputValue
	events       []event
	changeSets   []*changeSet
}

// deployment is a template with all that goes with it.
type deployment struct {
	template *template
	raw      map[string]string // parameters as given
	resolved map[string]any    // and as the template sees them
	tags     []tag
}

type tag struct{ Key, Value string }

type outputValue struct{ OutputKey, OutputValue string }

type event struct {
	StackId, EventId, StackName           string
	LogicalResourceId, PhysicalResourceId string
	ResourceType, Timestamp               string
	ResourceStatus, ResourceStatusReason  string
}

// stamp writes a time as AWS does.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

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
	name := r.text("StackName")
	if st := s.stack(name); st != nil {
		return st, nil
	}
	return nil, invalid("Stack with id %s does not exist", name)
}

// event notes an event after every other, to the millisecond: their times say their order.
func (st *stack) event(logicalID, id, kind, status, reason string) {
	now := time.Now().Truncate(time.Millisecond)
	if !now.After(st.newest) {
		now = st.newest.Add(time.Millisecond)
	}
	st.newest = now
	st.events = append(st.events, event{
		StackId: st.arn, EventId: fmt.Sprintf("%s-%d", st.name, len(st.events)), StackName: st.name,
		LogicalResourceId: logicalID, PhysicalResourceId: id, ResourceType: kind,
		Timestamp: stamp(now), ResourceStatus: status, ResourceStatusReason: reason,
	})
}

// become notes a status of the stack in its events.
func (st *stack) become(status, reason string) {
	st.event(st.name, st.arn, "AWS::CloudFormation::Stack", status, reason)
}

// operate runs an operation as a whole; what is seen of it first is that it is in progress.
func (st *stack) operate(verb string, operation func() error) {
	st.status, st.next = verb+"_IN_PROGRESS", verb+"_COMPLETE"
	st.become(st.status, "User Initiated")
	reason := ""
	if err := operation(); err != nil {
		st.next, reason = verb+"_FAILED", err.Error()
	}
	st.become(st.next, reason)
}

func (s *Server) describeStacks(r *request) (any, error) {
	st, err := s.mustStack(r)
	if err != nil {
		return nil, err
	}
	type parameterValue struct{ ParameterKey, ParameterValue string }
	type description struct {
		StackId, StackName        string
		CreationTime, StackStatus string
		Parameters                []parameterValue `xml:"Parameters>member"`
		Outputs                   []outputValue    `xml:"Outputs>member"`
		Tags                      []tag            `xml:"Tags>member"`
	}
	d := description{st.arn, st.name, stamp(st.created), st.status, nil, st.outputs, st.deployed.tags}
	for key, raw := range st.deployed.raw {
		d.Parameters = append(d.Parameters, parameterValue{key, raw})
	}
	if st.next != "" {
		st.status, st.next = st.next, ""
	}
	return struct {
		Stacks []description `xml:"Stacks>member"`
	}{[]description{d}}, nil
}

func (s *Server) describeStackEvents(r *request) (any, error) {
	st, err := s.mustStack(r)
	if err != nil {
		return nil, err
	}
	newestFirst := slices.Clone(st.events)
	slices.Reverse(newestFirst)
	return struct {
		StackEvents []event `xml:"StackEvents>member"`
	}{newestFirst}, nil
}

func (s *Server) getTemplate(r *request) (any, error) {
	// There is no macro, so the processed template is the original one.
	r.indifferent("TemplateStage")
	st, err := s.mustStack(r)
	if err != nil {
		return nil, err
	}
	text := ""
	// A stack that only has a change set has no template, and the CLI asks all the same.
	if st.deployed.template != nil {
		text = st.deployed.template.text
	}
	return struct {
		TemplateBody string `xml:",omitempty"`
	}{text}, nil
}

// deploy brings the stack to a deployment.
func (s *Server) deploy(st *stack, d deployment) error {
	waves, err := d.template.waves()
	if err != nil {
		return err
	}
	st.deployed = d
	e := s.evaluator(st, d)
	for _, id := range slices.Concat(waves...) {
		if err := s.deployResource(st, e, id); err != nil {
			st.event(id, "", d.template.Resources[id].Type, "CREATE_FAILED", err.Error())
			return fmt.Errorf("%s: %w", id, err)
		}
	}
	for id, old := range st.resources {
		if included, err := e.included(id); err == nil && !included {
			delete(st.resources, id)
			st.retire(old, old.declaration.DeletionPolicy)
		}
	}
	st.outputs = nil
	for _, key := range slices.Sorted(maps.Keys(d.template.Outputs)) {
		value, err := e.value(d.template.Outputs[key].Value)
		if err != nil {
			return fmt.Errorf("output %s: %w", key, err)
		}
		st.outputs = append(st.outputs, outputValue{key, fmt.Sprint(value)})
	}
	return nil
}

// deployResource makes, changes or replaces one resource.
func (s *Server) deployResource(st *stack, e *evaluator, id string) error {
	r, err := e.worked(id)
	if err != nil || r == nil {
		return err
	}
	if r.kind == "AWS::ECS::Service" {
		if err := s.checkImages(r); err != nil {
			return err
		}
	}
	old := st.resources[id]
	verb := "CREATE"
	if old != nil {
		changed, replaced := s.compare(old, r)
		if len(changed) == 0 {
			return nil
		}
		verb = "UPDATE"
		if !replaced {
			r.id = old.id
		}
	}
	if r.id == "" {
		s.identify(st.name, r)
		if s.find(r.kind, r.id) != nil {
			return invalid("%s already exists", r.id)
		}
	}
	st.resources[id] = r
	st.event(id, r.id, r.kind, verb+"_COMPLETE", "")
	if old != nil && old.id != r.id {
		st.retire(old, old.declaration.UpdateReplacePolicy)
	}
	return nil
}

// retire deletes a resource, or retains it.
func (st *stack) retire(r *resource, policy string) {
	status := deleted
	if policy == "Retain" {
		status = "DELETE_SKIPPED"
		st.kept = append(st.kept, r)
	}
	st.event(r.logicalID, r.id, r.kind, status, "")
}

// compare returns the names of the properties in which two states of a resource differ, and
// whether a new resource has to take the place of the old one.
func (s *Server) compare(before, after *resource) (changed []string, replaced bool) {
	if before.kind != after.kind {
		return []string{"Type"}, true
	}
	names := maps.Clone(before.properties)
	maps.Copy(names, after.properties)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if !equal(before.properties[name], after.properties[name]) {
			changed = append(changed, name)
			replaced = replaced || s.spec[after.kind].Properties[name].Replaces == "yes"
		}
	}
	return changed, replaced
}

func (s *Server) deleteStack(r *request) (any, error) {
	r.indifferent("ClientRequestToken", "DeploymentConfig.Mode")
	if err := s.checkRole(r); err != nil {
		return nil, err
	}
	st := s.stack(r.text("StackName"))
	if st == nil || st.status == deleted {
		return nil, nil // A stack that does not exist is deleted already.
	}
	st.changeSets = nil
	if st.deployed.template == nil {
		st.status = deleted
		return nil, nil
	}
	st.operate("DELETE", func() error {
		waves, err := st.deployed.template.waves()
		if err != nil {
			return err
		}
		order := slices.Concat(waves...)
		slices.Reverse(order)
		for _, id := range order {
			if old := st.resources[id]; old != nil {
				delete(st.resources, id)
				st.retire(old, old.declaration.DeletionPolicy)
			}
		}
		return nil
	})
	return nil, nil
}

// checkRole refuses a role for CloudFormation that no stack has made.
func (s *Server) checkRole(r *request) error {
	arn := r.text("RoleARN")
	if _, role := s.role(arn); arn != "" && role == nil {
		return invalid("Role %s is invalid or cannot be assumed", arn)
	}
	return nil
}
