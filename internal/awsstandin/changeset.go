package awsstandin

import (
	"fmt"
	"net/http"
	"slices"
	"time"
)

// changeSet is what a stack would become.
type changeSet struct {
	name, arn, kind string
	status, reason  string
	executable      bool
	created         time.Time
	deployment      deployment
	roleARN         string
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
	Target       target
	Evaluation   string
	ChangeSource string
}

type target struct {
	Attribute          string
	Name               string `xml:",omitempty"`
	RequiresRecreation string
}

func (s *Server) createChangeSet(r *request) (any, error) {
	// None of these bears on what the stand-in does: it knows no nested stacks and looks for no resources outside of stacks.
	r.indifferent("ClientToken", "Description", "IncludeNestedStacks", "ImportExistingResources")
	if err := standardMode(r); err != nil {
		return nil, err
	}
	name, setName, kind := r.text("StackName"), r.text("ChangeSetName"), r.text("ChangeSetType")
	if !stackName.MatchString(name) && s.stack(name) == nil {
		return nil, invalid("1 validation error detected: Value '%s' at 'stackName' failed to satisfy constraint", name)
	}
	t, err := s.readTemplate(r)
	if err != nil {
		return nil, err
	}
	st := s.stack(name)
	switch {
	case kind == "CREATE" && st != nil && st.status != "REVIEW_IN_PROGRESS":
		return nil, invalid("Stack [%s] already exists and cannot be created again with the changeSet [%s].", name, setName)
	case kind == "UPDATE" && st == nil:
		return nil, invalid("Stack [%s] does not exist", name)
	case kind == "UPDATE" && !slices.Contains(updatable, st.status):
		return nil, invalid("Stack:%s is in %s state and can not be updated.", st.arn, st.status)
	case kind != "CREATE" && kind != "UPDATE":
		return nil, unknown("ChangeSetType %s", kind)
	}
	d := deployment{template: t}
	for _, one := range r.list("Capabilities") {
		d.capabilities = append(d.capabilities, one[""])
	}
	if needed := t.capability(); needed != "" && !slices.Contains(d.capabilities, needed) && !slices.Contains(d.capabilities, "CAPABILITY_NAMED_IAM") {
		return nil, insufficient(needed)
	}
	for _, one := range r.list("Tags") {
		d.tags = append(d.tags, tag{one["Key"], one["Value"]})
	}
	role := r.text("RoleARN")
	if err := s.checkRole(role); err != nil {
		return nil, err
	}
	var previous map[string]string
	if st != nil {
		previous = st.deployed.raw
	}
	if d.raw, d.resolved, err = s.readParameters(t, r.list("Parameters"), previous); err != nil {
		return nil, err
	}
	isNew := st == nil
	if isNew {
		st = &stack{name: name, arn: fmt.Sprintf("arn:%s:cloudformation:%s:%s:stack/%s/%s", partition, Region, Account, name, s.id()), created: time.Now(), resources: map[string]*resource{}}
	}
	if err := s.evaluator(st, d).rules(); err != nil {
		return nil, err
	}
	if isNew {
		s.stacks = append(s.stacks, st)
		st.become("REVIEW_IN_PROGRESS", "User Initiated")
	}
	if slices.ContainsFunc(st.changeSets, func(set *changeSet) bool { return set.name == setName }) {
		return nil, &apiError{"AlreadyExistsException", fmt.Sprintf("ChangeSet %s already exists", setName), http.StatusBadRequest}
	}
	set := &changeSet{
		name: setName, kind: kind, created: time.Now(), deployment: d, roleARN: role, status: "CREATE_IN_PROGRESS",
		arn: fmt.Sprintf("arn:%s:cloudformation:%s:%s:changeSet/%s/%s", partition, Region, Account, setName, s.id()),
	}
	st.changeSets = append(st.changeSets, set)
	return struct{ Id, StackId string }{set.arn, st.arn}, nil
}

// standardMode refuses the other way of deploying, in which CloudFormation does not wait for resources to become stable.
func standardMode(r *request) error {
	if mode := r.text("DeploymentConfig.Mode"); mode != "" && mode != "STANDARD" {
		return unknown("DeploymentConfig.Mode %s", mode)
	}
	return nil
}

// updatable are the states in which a stack can be updated.
var updatable = []string{"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "UPDATE_FAILED", "CREATE_FAILED"}

// noChange is the very reason by which the CLI tells that there is nothing to do.
const noChange = "The submitted information didn't contain changes. Submit different information to create a change set."

// plan works out what a change set would do.
func (s *Server) plan(st *stack, set *changeSet) {
	set.status = "FAILED"
	d := set.deployment
	e := s.evaluator(st, d)
	// What would be new has an id that no resource has, so that whatever refers to it is seen to change.
	coming := map[string]*resource{}
	e.resource = func(id string) *resource {
		if r := coming[id]; r != nil {
			return r
		}
		return st.resources[id]
	}
	waves, _ := d.template.waves()
	for _, id := range slices.Concat(waves...) {
		declared := d.template.Resources[id]
		included, err := e.included(declared)
		if err == nil && !included {
			continue
		}
		after := &resource{logicalID: id, kind: declared.Type, id: "(to be made) " + id, declaration: declared}
		if err == nil {
			after.properties, err = e.properties(declared)
		}
		if err != nil {
			set.reason = err.Error()
			return
		}
		old := st.resources[id]
		if old == nil {
			coming[id] = after
			set.add("Add", after, "", nil)
			continue
		}
		changed, replaced := s.compare(old, after)
		var attributes []string
		for _, attribute := range []struct {
			name          string
			before, after any
		}{
			{"Metadata", old.declaration.Metadata, declared.Metadata},
			{"DeletionPolicy", old.declaration.DeletionPolicy, declared.DeletionPolicy},
			{"UpdateReplacePolicy", old.declaration.UpdateReplacePolicy, declared.UpdateReplacePolicy},
			{"Tags", st.deployed.tags, d.tags},
		} {
			if !equal(attribute.before, attribute.after) {
				attributes = append(attributes, attribute.name)
			}
		}
		if len(changed) == 0 && len(attributes) == 0 {
			continue
		}
		if replaced {
			coming[id] = after
		}
		set.add("Modify", after, old.id, s.details(after.kind, changed, attributes))
	}
	for id, old := range st.resources {
		if included, err := e.includedID(id); err == nil && !included {
			set.add("Remove", old, old.id, nil)
		}
	}
	if len(set.changes) == 0 && st.deployed.template != nil && equal(outline(st.deployed.template), outline(d.template)) {
		set.reason = noChange
		return
	}
	set.status, set.executable = "CREATE_COMPLETE", true
}

// outline is what a template has besides resources that a deployment changes.
func outline(t *template) any { return t.Outputs }

func (set *changeSet) add(action string, r *resource, id string, details []detail) {
	one := resourceChange{Action: action, LogicalResourceId: r.logicalID, PhysicalResourceId: id, ResourceType: r.kind, Details: details}
	if action == "Modify" {
		one.Replacement = "False"
		for _, d := range details {
			if !slices.Contains(one.Scope, d.Target.Attribute) {
				one.Scope = append(one.Scope, d.Target.Attribute)
			}
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

// details tells the properties that change, and what else of the resource does: its metadata, policies, the stack's tags.
func (s *Server) details(kind string, changed, attributes []string) []detail {
	var all []detail
	for _, name := range changed {
		recreation := map[string]string{"yes": "Always", "maybe": "Conditionally", "": "Never"}[string(s.spec[kind].Properties[name].Replaces)]
		all = append(all, detail{target{"Properties", name, recreation}, "Static", "DirectModification"})
	}
	for _, attribute := range attributes {
		all = append(all, detail{target{attribute, "", "Never"}, "Static", "DirectModification"})
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
	return nil, nil, &apiError{"ChangeSetNotFound", fmt.Sprintf("ChangeSet [%s] does not exist", name), http.StatusNotFound}
}

func (s *Server) describeChangeSet(r *request) (any, error) {
	// The values of properties would come in addition; the CLI shows those of the templates.
	r.indifferent("IncludePropertyValues")
	st, set, err := s.changeSetOf(r)
	if err != nil {
		return nil, err
	}
	// It is under way when it is looked at for the first time.
	if set.looks++; set.looks == 2 {
		s.plan(st, set)
	}
	result := struct {
		ChangeSetName, ChangeSetId, StackId, StackName string
		CreationTime                                   stamp
		ExecutionStatus, Status                        string
		StatusReason                                   string   `xml:",omitempty"`
		Capabilities                                   []string `xml:"Capabilities>member"`
		Tags                                           []tag    `xml:"Tags>member"`
		Changes                                        []change `xml:"Changes>member"`
	}{
		ChangeSetName: set.name, ChangeSetId: set.arn, StackId: st.arn, StackName: st.name, CreationTime: stampOf(set.created),
		ExecutionStatus: "UNAVAILABLE", Status: set.status, StatusReason: set.reason,
		Capabilities: set.deployment.capabilities, Tags: set.deployment.tags, Changes: set.changes,
	}
	if set.executable {
		result.ExecutionStatus = "AVAILABLE"
	}
	return result, nil
}

func (s *Server) executeChangeSet(r *request) (any, error) {
	r.indifferent("ClientRequestToken")
	st, set, err := s.changeSetOf(r)
	if err != nil {
		return nil, err
	}
	if r.flag("DisableRollback") {
		return nil, unknown("DisableRollback")
	}
	if !set.executable {
		return nil, &apiError{"InvalidChangeSetStatus", fmt.Sprintf("ChangeSet [%s] cannot be executed in its current status of [%s]", set.arn, set.status), http.StatusBadRequest}
	}
	verb := "UPDATE"
	if set.kind == "CREATE" {
		verb = "CREATE"
	} else {
		st.updated = time.Now()
	}
	if set.roleARN != "" {
		st.roleARN = set.roleARN
	}
	// The others were made for a stack that is no more.
	st.changeSets = nil
	s.deploy(st, set.deployment, verb)
	return nil, nil
}

func (s *Server) deleteChangeSet(r *request) (any, error) {
	st, set, err := s.changeSetOf(r)
	if err != nil {
		return nil, nil // One that is not there is deleted already.
	}
	st.changeSets = slices.DeleteFunc(st.changeSets, func(other *changeSet) bool { return other == set })
	return nil, nil
}
