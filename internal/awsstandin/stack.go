package awsstandin

import (
	"fmt"
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

type tag struct{ Key, Value string }

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
