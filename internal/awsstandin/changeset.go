package awsstandin

import (
	"fmt"
	"slices"
	"time"

	"squidfleet/internal/awsapi"
	"squidfleet/internal/cfnspec"
)

// changeSet is what a stack would become.
type changeSet struct {
	name, arn, kind string
	status, reason  string
	executable      bool
	deployment      deployment
	changes         []change
	looks           int
}

// change is what would happen to a resource.
type change struct {
	Type           string
	ResourceChange resourceChange
}

type resourceChange struct {
	Action             string
	LogicalResourceId  string
	PhysicalResourceId string `xml:",omitempty"`
	ResourceType       string
	Replacement        string   `xml:",omitempty"`
	Scope              []string `xml:"Scope>member"`
	Details            []detail `xml:"Details>member"`
}

type detail struct {
	Target                   target
	Evaluation, ChangeSource string
}

type target struct{ Attribute, Name, RequiresRecreation string }

func (s *Server) createChangeSet(r *request) (any, error) {
	// None of these matters here: there are no nested stacks, IAM needs no consent, and no resource
	// exists outside of stacks.
	r.indifferent("ClientToken", "Description", "IncludeNestedStacks", "ImportExistingResources",
		"DeploymentConfig.Mode")
	r.list("Capabilities")
	name, setName, kind := r.text("StackName"), r.text("ChangeSetName"), r.text("ChangeSetType")
	st := s.stack(name)
	switch {
	case kind == "CREATE" && st != nil && st.deployed.template != nil:
		return nil, invalid("Stack [%s] already exists and cannot be created again with the changeSet [%s].", name,
			setName)
	case kind == "UPDATE" && st == nil:
		return nil, invalid("Stack [%s] does not exist", name)
	}
	t, err := s.readTemplate(r)
	if err != nil {
		return nil, err
	}
	if err := s.checkRole(r); err != nil {
		return nil, err
	}
	d := deployment{template: t}
	for _, one := range r.list("Tags") {
		d.tags = append(d.tags, tag{one["Key"], one["Value"]})
	}
	var previous map[string]string
	if st != nil {
		previous = st.deployed.raw
	}
	if d.raw, d.resolved, err = s.readParameters(t, r.list("Parameters"), previous); err != nil {
		return nil, err
	}
	if st == nil {
		st = &stack{
			name: name, arn: arn("stack/" + name + "/" + s.id()), created: time.Now(),
			resources: map[string]*resource{}, status: "REVIEW_IN_PROGRESS",
		}
		s.stacks = append(s.stacks, st)
	}
	set := &changeSet{
		name: setName, arn: arn("changeSet/" + setName + "/" + s.id()), kind: kind,
		deployment: d, status: "CREATE_IN_PROGRESS",
	}
	st.changeSets = append(st.changeSets, set)
	return struct{ Id, StackId string }{set.arn, st.arn}, nil
}

func arn(resource string) string {
	return fmt.Sprintf("arn:%s:cloudformation:%s:%s:%s", partition, Region, Account, resource)
}

// noChange is the very reason by which the CLI knows that there is nothing to do.
const noChange = "The submitted information didn't contain changes. " +
	"Submit different information to create a change set."

// plan works out what a change set would do.
func (s *Server) plan(st *stack, set *changeSet) {
	set.status = "FAILED"
	d := set.deployment
	e := s.evaluator(st, d)
	// A new resource has an id that none has, so that whatever refers to it is seen to change.
	coming := map[string]*resource{}
	e.resource = func(id string) *resource {
		if r := coming[id]; r != nil {
			return r
		}
		return st.resources[id]
	}
	waves, err := d.template.waves()
	if err != nil {
		set.reason = err.Error()
		return
	}
	for _, id := range slices.Concat(waves...) {
		after, err := e.worked(id)
		if err != nil {
			set.reason = err.Error()
			return
		}
		if after == nil {
			continue
		}
		after.id = "(to be made) " + id
		old := st.resources[id]
		if old == nil {
			coming[id] = after
			set.add("Add", after, "", nil)
			continue
		}
		changed, replaced := s.compare(old, after)
		if replaced {
			coming[id] = after
		}
		if len(changed) > 0 {
			set.add("Modify", after, old.id, s.details(after.kind, changed))
		}
	}
	for id, old := range st.resources {
		if included, err := e.included(id); err == nil && !included {
			set.add("Remove", old, old.id, nil)
		}
	}
	if len(set.changes) == 0 && st.deployed.template != nil &&
		equal(st.deployed.template.Outputs, d.template.Outputs) {
		set.reason = noChange
		return
	}
	set.status, set.executable = "CREATE_COMPLETE", true
}

func (set *changeSet) add(action string, r *resource, id string, details []detail) {
	one := resourceChange{
		Action: action, LogicalResourceId: r.logicalID, PhysicalResourceId: id, ResourceType: r.kind, Details: details,
	}
	if action == "Modify" {
		one.Replacement, one.Scope = "False", []string{"Properties"}
		for _, d := range details {
			switch {
			case d.Target.RequiresRecreation == "Always":
				one.Replacement = "True"
			case d.Target.RequiresRecreation == "Conditionally" && one.Replacement == "False":
				one.Replacement = "Conditional"
			}
		}
	}
	set.changes = append(set.changes, change{"Resource", one})
}

// details names the properties that change, and whether that replaces the resource.
func (s *Server) details(kind string, changed []string) []detail {
	recreation := map[cfnspec.Replacement]string{
		cfnspec.Always: "Always", cfnspec.Sometimes: "Conditionally", cfnspec.Never: "Never",
	}
	var all []detail
	for _, name := range changed {
		replaces := recreation[s.spec[kind].Properties[name].Replaces]
		all = append(all, detail{target{"Properties", name, replaces}, "Static", "DirectModification"})
	}
	return all
}

// changeSetOf finds a change set by its ARN, or by its name in the stack.
func (s *Server) changeSetOf(r *request) (*stack, *changeSet, error) {
	name, stackName := r.text("ChangeSetName"), r.text("StackName")
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
	// The values of properties would come in addition; the CLI shows those of the templates.
	r.indifferent("IncludePropertyValues")
	st, set, err := s.changeSetOf(r)
	if err != nil {
		return nil, err
	}
	// The first look sees it in progress.
	if set.looks++; set.looks == 2 {
		s.plan(st, set)
	}
	execution := "UNAVAILABLE"
	if set.executable {
		execution = "AVAILABLE"
	}
	return struct {
		ChangeSetName, ChangeSetId, StackId, StackName string
		ExecutionStatus, Status, StatusReason          string
		Changes                                        []change `xml:"Changes>member"`
	}{set.name, set.arn, st.arn, st.name, execution, set.status, set.reason, set.changes}, nil
}

func (s *Server) executeChangeSet(r *request) (any, error) {
	r.indifferent("ClientRequestToken", "DisableRollback")
	st, set, err := s.changeSetOf(r)
	if err != nil {
		return nil, err
	}
	if !set.executable {
		return nil, awsapi.Refuse("InvalidChangeSetStatus", "ChangeSet [%s] is %s", set.arn, set.status)
	}
	st.changeSets = nil // The others were made for what the stack was before.
	st.operate(set.kind, func() error { return s.deploy(st, set.deployment) })
	return nil, nil
}

func (s *Server) deleteChangeSet(r *request) (any, error) {
	st, set, err := s.changeSetOf(r)
	if err != nil {
		return nil, nil // One that does not exist is deleted already.
	}
	st.changeSets = slices.DeleteFunc(st.changeSets, func(other *changeSet) bool { return other == set })
	return nil, nil
}
