package awsstandin

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// stack is one stack. It lives on after its deletion, when only its ARN still finds it.
type stack struct {
	name, arn, roleARN string
	status, reason     string
	protected          bool
	created, updated   time.Time
	deployed           deployment // what it is made of
	resources          map[string]*resource
	kept               []*resource // replaced and not yet deleted, or left behind
	outputs            []outputValue
	exports            map[string]any
	events             []event
	changeSets         []*changeSet
	// operation is what is still to be done, a step at a time, and stride how many steps a look takes. operations counts them, because a step may end its own operation, or begin another.
	operation  []func()
	stride     int
	operations int
}

// deployment is a template with all that goes with it.
type deployment struct {
	template     *template
	raw          map[string]string // parameters as given
	resolved     map[string]any    // and as the template sees them
	tags         []tag
	capabilities []string
}

type tag struct{ Key, Value string }

type outputValue struct {
	OutputKey, OutputValue  string
	Description, ExportName string `xml:",omitempty"`
}

type event struct {
	StackId, EventId, StackName           string
	LogicalResourceId, PhysicalResourceId string
	ResourceType                          string
	Timestamp                             stamp
	ResourceStatus                        string
	ResourceStatusReason                  string `xml:",omitempty"`
}

// stamp is a time as AWS writes it.
type stamp string

func stampOf(t time.Time) stamp {
	if t.IsZero() {
		return ""
	}
	return stamp(t.UTC().Format("2006-01-02T15:04:05.000Z"))
}

// lives says that the stack's name still finds it.
func (st *stack) lives() bool { return st.status != "DELETE_COMPLETE" }

// busy says that an operation is under way.
func (st *stack) busy() bool {
	return strings.HasSuffix(st.status, "_IN_PROGRESS") && st.status != "REVIEW_IN_PROGRESS"
}

// stack finds a stack by its name, or by its ARN even when it is deleted.
func (s *Server) stack(nameOrARN string) *stack {
	for _, st := range s.stacks {
		if st.arn == nameOrARN || st.name == nameOrARN && st.lives() {
			return st
		}
	}
	return nil
}

func (s *Server) mustStack(r *request) (*stack, error) {
	name := r.text("StackName")
	if st := s.stack(name); st != nil {
		return st, nil
	}
	return nil, invalid("Stack with id %s does not exist", name)
}

// now returns a time after every other, to the millisecond: the order of events is told by their times.
func (st *stack) now() time.Time {
	now := time.Now().Truncate(time.Millisecond)
	if n := len(st.events); n > 0 {
		last, _ := time.Parse(time.RFC3339, string(st.events[n-1].Timestamp))
		if !now.After(last) {
			now = last.Add(time.Millisecond)
		}
	}
	return now
}

// become changes the stack's status, and says so in its events.
func (st *stack) become(status, reason string) {
	st.status, st.reason = status, reason
	st.event(st.name, st.arn, "AWS::CloudFormation::Stack", status, reason)
}

func (st *stack) event(logicalID, id, kind, status, reason string) {
	st.events = append(st.events, event{
		StackId: st.arn, EventId: fmt.Sprintf("%s-%d", st.name, len(st.events)), StackName: st.name,
		LogicalResourceId: logicalID, PhysicalResourceId: id, ResourceType: kind,
		Timestamp: stampOf(st.now()), ResourceStatus: status, ResourceStatusReason: reason,
	})
}

func (st *stack) tell(r *resource, status, reason string) {
	st.event(r.logicalID, r.id, r.kind, status, reason)
}

// start begins an operation. It goes on at each look, and is over after the third.
func (st *stack) start(steps []func()) {
	st.operation, st.stride = steps, (len(steps)+2)/3
	st.operations++
}

// end gives an operation up.
func (st *stack) end() { st.start(nil) }

// look lets the operation go on after what is seen now.
func (st *stack) look() {
	this := st.operations
	for range st.stride {
		if st.operations != this || len(st.operation) == 0 {
			return
		}
		step := st.operation[0]
		st.operation = st.operation[1:]
		step()
	}
}

// evaluator works out functions over a deployment, with the stack's resources as they are.
func (s *Server) evaluator(st *stack, d deployment) *evaluator {
	return &evaluator{
		server: s, stack: st, template: d.template, parameters: d.resolved,
		resource: func(id string) *resource { return st.resources[id] },
	}
}

// included says whether a resource's condition holds.
func (e *evaluator) included(d declaration) (bool, error) {
	if d.Condition == "" {
		return true, nil
	}
	return e.condition(d.Condition)
}

// properties works out the properties of a resource.
func (e *evaluator) properties(d declaration) (map[string]any, error) {
	value, err := e.value(map[string]any(d.Properties))
	if err != nil {
		return nil, err
	}
	properties, _ := value.(map[string]any)
	return properties, nil
}

// deploy brings the stack to a deployment, or back to where it was. verb is CREATE or UPDATE.
func (s *Server) deploy(st *stack, d deployment, verb string) {
	before := st.deployed
	resources, outputs, exports, kept := maps.Clone(st.resources), st.outputs, st.exports, slices.Clone(st.kept)
	st.deployed = d
	st.become(verb+"_IN_PROGRESS", "User Initiated")
	waves, err := d.template.waves()
	if err != nil {
		panic(err) // parseTemplate has seen to it
	}
	var steps []func()
	var failed []string
	var reason string
	fail := func() {
		// Nothing of the rest is begun.
		if verb == "CREATE" {
			st.become("ROLLBACK_IN_PROGRESS", fmt.Sprintf("The following resource(s) failed to create: [%s]. Rollback requested by user.", strings.Join(failed, ", ")))
			st.start(append(s.deletions(st, "ROLLBACK_FAILED"), func() {
				st.outputs, st.exports = nil, nil
				st.become("ROLLBACK_COMPLETE", "")
			}))
			return
		}
		st.become("UPDATE_ROLLBACK_IN_PROGRESS", fmt.Sprintf("The following resource(s) failed to update: [%s]. %s", strings.Join(failed, ", "), reason))
		var made []*resource
		for id, r := range st.resources {
			if old := resources[id]; old == nil || old.id != r.id {
				made = append(made, r)
			} else if old != r {
				st.tell(old, "UPDATE_COMPLETE", "")
			}
		}
		st.start([]func(){
			func() {
				st.deployed, st.resources, st.outputs, st.exports = before, resources, outputs, exports
				st.kept = kept
				st.become("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", "")
			},
			func() {
				for _, r := range made {
					st.tell(r, "DELETE_COMPLETE", "")
				}
				st.become("UPDATE_ROLLBACK_COMPLETE", "")
			},
		})
	}
	for _, wave := range waves {
		steps = append(steps, func() {
			for _, id := range wave {
				if len(failed) > 0 {
					// What was begun beside the one that failed is given up.
					st.event(id, "", d.template.Resources[id].Type, verb+"_FAILED", cancelled[verb])
					continue
				}
				if problem := s.deployResource(st, d, id); problem != "" {
					failed, reason = append(failed, id), problem
				}
			}
			if len(failed) > 0 {
				fail()
			}
		})
	}
	steps = append(steps, func() {
		var err error
		if st.outputs, st.exports, err = s.workOutputs(st, d); err != nil {
			failed, reason = []string{"outputs"}, err.Error()
			fail()
			return
		}
		if verb == "CREATE" {
			st.become("CREATE_COMPLETE", "")
			return
		}
		st.become("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "")
		s.cleanUp(st, before)
		st.become("UPDATE_COMPLETE", "")
	})
	st.start(steps)
}

// cancelled is the reason by which the CLI tells what was given up from what has failed.
var cancelled = map[string]string{"CREATE": "Resource creation cancelled", "UPDATE": "Resource update cancelled"}

// deployResource makes, changes or replaces one resource and returns why it could not.
func (s *Server) deployResource(st *stack, d deployment, id string) (problem string) {
	e := s.evaluator(st, d)
	declared := d.template.Resources[id]
	included, err := e.included(declared)
	if err == nil && !included {
		return ""
	}
	r := &resource{logicalID: id, kind: declared.Type, declaration: declared}
	old := st.resources[id]
	verb := "CREATE"
	if err == nil {
		r.properties, err = e.properties(declared)
	}
	if err != nil {
		st.event(id, "", declared.Type, "CREATE_FAILED", err.Error())
		return err.Error()
	}
	if old != nil {
		changed, replaced := s.compare(old, r)
		if len(changed) == 0 {
			old.declaration = declared
			return ""
		}
		verb = "UPDATE"
		if !replaced {
			r.id = old.id
		}
	}
	if r.id == "" {
		s.identify(st.name, r)
		if other := s.find(r.kind, r.id); other != nil {
			problem = fmt.Sprintf("%s already exists", r.id)
		}
	}
	st.tell(r, verb+"_IN_PROGRESS", "")
	if problem == "" {
		problem = s.problem(st, r)
	}
	if problem != "" {
		st.tell(r, verb+"_FAILED", fmt.Sprintf("Resource handler returned message: %q", problem))
		return problem
	}
	if old != nil && old.id != r.id {
		st.kept = append(st.kept, old)
	}
	st.resources[id] = r
	st.tell(r, verb+"_COMPLETE", "")
	return ""
}

// compare returns the names of the properties in which two states of a resource differ, and whether a new resource has to take the place of the old one.
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

func (s *Server) workOutputs(st *stack, d deployment) ([]outputValue, map[string]any, error) {
	e := s.evaluator(st, d)
	var all []outputValue
	exports := map[string]any{}
	for _, key := range slices.Sorted(maps.Keys(d.template.Outputs)) {
		o := d.template.Outputs[key]
		if o.Condition != "" {
			if holds, err := e.condition(o.Condition); err != nil {
				return nil, nil, err
			} else if !holds {
				continue
			}
		}
		value, err := e.value(o.Value)
		if err != nil {
			return nil, nil, err
		}
		one := outputValue{OutputKey: key, OutputValue: fmt.Sprint(value), Description: o.Description}
		if o.Export != nil {
			name, err := e.value(o.Export.Name)
			if err != nil {
				return nil, nil, err
			}
			one.ExportName = fmt.Sprint(name)
			for _, other := range s.stacks {
				if _, taken := other.exports[one.ExportName]; taken && other != st && other.lives() {
					return nil, nil, invalid("Export with name %s is already exported by stack %s", one.ExportName, other.name)
				}
			}
			exports[one.ExportName] = value
		}
		all = append(all, one)
	}
	for name, value := range st.exports {
		if importer := s.importer(st, name); importer != "" && !equal(exports[name], value) {
			return nil, nil, invalid("Cannot update export %s as it is in use by %s", name, importer)
		}
	}
	return all, exports, nil
}

// importer returns the name of a stack that imports what another one exports.
func (s *Server) importer(exporter *stack, export string) string {
	for _, st := range s.stacks {
		if st == exporter || !st.lives() || st.deployed.template == nil {
			continue
		}
		e := s.evaluator(st, st.deployed)
		if slices.ContainsFunc(imports(st.deployed.template), func(argument any) bool {
			name, err := e.value(argument)
			return err == nil && name == export
		}) {
			return st.name
		}
	}
	return ""
}

// imports returns what a template's resources give to Fn::ImportValue.
func imports(t *template) []any {
	var all []any
	var visit func(any)
	visit = func(value any) {
		switch v := value.(type) {
		case []any:
			for _, item := range v {
				visit(item)
			}
		case map[string]any:
			if argument, is := v["Fn::ImportValue"]; is {
				all = append(all, argument)
			}
			for _, item := range v {
				visit(item)
			}
		}
	}
	for _, d := range t.Resources {
		visit(d.Properties)
	}
	return all
}

// cleanUp deletes what an update has replaced or left out.
func (s *Server) cleanUp(st *stack, before deployment) {
	waves, _ := before.template.waves()
	slices.Reverse(waves)
	var left []*resource
	defer func() { st.kept = append(st.kept, left...) }()
	for _, id := range slices.Concat(waves...) {
		old := st.resources[id]
		if i := slices.IndexFunc(st.kept, func(r *resource) bool { return r.logicalID == id }); i >= 0 {
			old = st.kept[i]
			st.kept = slices.Delete(st.kept, i, i+1)
			if old.declaration.UpdateReplacePolicy == "Retain" {
				st.tell(old, "DELETE_SKIPPED", "")
				left = append(left, old)
				continue
			}
		} else if included, _ := s.evaluator(st, st.deployed).includedID(id); included || old == nil {
			continue
		} else if delete(st.resources, id); old.declaration.DeletionPolicy == "Retain" {
			st.tell(old, "DELETE_SKIPPED", "")
			left = append(left, old)
			continue
		}
		if user := s.user(old); user != "" {
			st.tell(old, "DELETE_FAILED", dependency(old, user))
			left = append(left, old)
			continue
		}
		st.tell(old, "DELETE_COMPLETE", "")
	}
}

func (e *evaluator) includedID(id string) (bool, error) {
	d, declared := e.template.Resources[id]
	if !declared {
		return false, nil
	}
	return e.included(d)
}

func dependency(r *resource, user string) string {
	return fmt.Sprintf("Resource handler returned message: \"resource %s has a dependent object, %s (Service: Ec2, Status Code: 400)\"", r.id, user)
}

// deletions are the steps of deleting a stack's resources, the last made first. A resource that cannot be deleted ends them, and the stack is in the state given then.
func (s *Server) deletions(st *stack, otherwise string) []func() {
	waves, _ := st.deployed.template.waves()
	slices.Reverse(waves)
	var steps []func()
	for _, wave := range waves {
		steps = append(steps, func() {
			var failed []string
			for _, id := range wave {
				r := st.resources[id]
				switch {
				case r == nil:
				case r.declaration.DeletionPolicy == "Retain":
					st.tell(r, "DELETE_SKIPPED", "")
					delete(st.resources, id)
					st.kept = append(st.kept, r)
				default:
					st.tell(r, "DELETE_IN_PROGRESS", "")
					if user := s.user(r); user != "" {
						st.tell(r, "DELETE_FAILED", dependency(r, user))
						failed = append(failed, id)
						continue
					}
					delete(st.resources, id)
					st.tell(r, "DELETE_COMPLETE", "")
				}
			}
			if len(failed) > 0 {
				st.end()
				st.become(otherwise, fmt.Sprintf("The following resource(s) failed to delete: [%s].", strings.Join(failed, ", ")))
			}
		})
	}
	return steps
}
