package awsstandin

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

func (s *Server) describeStacks(r *request) (any, error) {
	// Without a name all would be asked for, which the CLI does not do.
	st, err := s.mustStack(r)
	if err != nil {
		return nil, err
	}
	type parameterValue struct {
		ParameterKey, ParameterValue string
		ResolvedValue                string `xml:",omitempty"`
	}
	type description struct {
		StackId, StackName          string
		Description                 string `xml:",omitempty"`
		CreationTime                stamp
		LastUpdatedTime             stamp `xml:",omitempty"`
		StackStatus                 string
		StackStatusReason           string `xml:",omitempty"`
		RoleARN                     string `xml:",omitempty"`
		EnableTerminationProtection bool
		Parameters                  []parameterValue `xml:"Parameters>member"`
		Capabilities                []string         `xml:"Capabilities>member"`
		Outputs                     []outputValue    `xml:"Outputs>member"`
		Tags                        []tag            `xml:"Tags>member"`
	}
	d := description{
		StackId: st.arn, StackName: st.name, CreationTime: stampOf(st.created), LastUpdatedTime: stampOf(st.updated),
		StackStatus: st.status, StackStatusReason: st.reason, RoleARN: st.roleARN, EnableTerminationProtection: st.protected,
		Capabilities: st.deployed.capabilities, Outputs: st.outputs, Tags: st.deployed.tags,
	}
	if t := st.deployed.template; t != nil {
		d.Description = t.Description
		for key, raw := range st.deployed.raw {
			one := parameterValue{ParameterKey: key, ParameterValue: raw}
			if strings.HasPrefix(t.Parameters[key].Type, ssmType) {
				one.ResolvedValue = fmt.Sprint(st.deployed.resolved[key])
			}
			d.Parameters = append(d.Parameters, one)
		}
	}
	st.look()
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
	st.look()
	return struct {
		StackEvents []event `xml:"StackEvents>member"`
	}{newestFirst}, nil
}

func (s *Server) getTemplate(r *request) (any, error) {
	// There is no macro, so that the processed template is the original one.
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

// describeEvents is asked for what CloudFormation's validation before deployment has found, of which there is nothing here: the reason of the change set tells all.
func (s *Server) describeEvents(r *request) (any, error) {
	r.indifferent("ChangeSetName", "Filters.FailedEvents")
	_, err := s.mustStack(r)
	return nil, err
}

// listHookResults is asked for what the account's hooks have found. It has none.
func (s *Server) listHookResults(r *request) (any, error) {
	r.indifferent("TargetType", "TargetId", "Status")
	return nil, nil
}

func (s *Server) updateTerminationProtection(r *request) (any, error) {
	st, err := s.mustStack(r)
	if err != nil {
		return nil, err
	}
	st.protected = r.flag("EnableTerminationProtection")
	return struct{ StackId string }{st.arn}, nil
}

func (s *Server) deleteStack(r *request) (any, error) {
	r.indifferent("ClientRequestToken")
	if err := standardMode(r); err != nil {
		return nil, err
	}
	st := s.stack(r.text("StackName"))
	role := r.text("RoleARN")
	if st == nil || !st.lives() {
		return nil, nil // A stack that is not there is deleted already.
	}
	if err := s.checkRole(role); err != nil {
		return nil, err
	}
	if role != "" {
		st.roleARN = role
	}
	switch {
	case st.protected:
		return nil, invalid("Stack [%s] cannot be deleted while TerminationProtection is enabled", st.name)
	case st.busy():
		return nil, invalid("Stack [%s] cannot be deleted while in status %s", st.name, st.status)
	}
	if st.status == "REVIEW_IN_PROGRESS" {
		st.changeSets = nil
		st.become("DELETE_COMPLETE", "User Initiated")
		return nil, nil
	}
	st.become("DELETE_IN_PROGRESS", "User Initiated")
	var steps []func()
	for export := range st.exports {
		if importer := s.importer(st, export); importer != "" {
			steps = append(steps, func() {
				st.end()
				st.become("DELETE_FAILED", fmt.Sprintf("Delete canceled. Cannot delete export %s as it is in use by %s.", export, importer))
			})
		}
	}
	steps = append(steps, s.deletions(st, "DELETE_FAILED")...)
	st.start(append(steps, func() {
		st.outputs, st.exports, st.changeSets = nil, nil, nil
		st.become("DELETE_COMPLETE", "")
	}))
	return nil, nil
}

// checkRole refuses a role for CloudFormation that no stack has made.
func (s *Server) checkRole(arn string) error {
	if arn == "" {
		return nil
	}
	name := strings.TrimPrefix(arn, fmt.Sprintf("arn:%s:iam::%s:role/", partition, Account))
	if s.find("AWS::IAM::Role", name) == nil {
		return invalid("Role %s is invalid or cannot be assumed", arn)
	}
	return nil
}

// readTemplate reads the template that a call gives, in itself or by its address.
func (s *Server) readTemplate(r *request) (*template, error) {
	text, location := r.text("TemplateBody"), r.text("TemplateURL")
	switch {
	case (text == "") == (location == ""):
		return nil, invalid("Either Template URL or Template Body must be specified.")
	case len(text) > maxTemplateInCall:
		return nil, invalid("1 validation error detected: Value at 'templateBody' failed to satisfy constraint: Member must have length less than or equal to %d", maxTemplateInCall)
	case location != "":
		content, err := s.object(location)
		if err != nil {
			return nil, err
		}
		if len(content) > maxTemplateByURL {
			return nil, invalid("Template may not exceed %d bytes in size.", maxTemplateByURL)
		}
		text = string(content)
	}
	return parseTemplate(s.spec, text)
}

var stackName = regexp.MustCompile(`^[A-Za-z][-A-Za-z0-9]{0,127}$`)

const ssmType = "AWS::SSM::Parameter::Value<"

// readParameters gives each parameter of the template its value.
func (s *Server) readParameters(t *template, given []map[string]string, previous map[string]string) (raw map[string]string, resolved map[string]any, err error) {
	raw, resolved = map[string]string{}, map[string]any{}
	for _, one := range given {
		key := one["ParameterKey"]
		value := one["ParameterValue"]
		if one["UsePreviousValue"] == "true" {
			var had bool
			if value, had = previous[key]; !had {
				return nil, nil, invalid("Invalid input for parameter key %s. Cannot specify usePreviousValue as true for a parameter key not in the previous template", key)
			}
		}
		if _, declared := t.Parameters[key]; !declared {
			return nil, nil, invalid("Parameters: [%s] do not exist in the template", key)
		}
		raw[key] = value
	}
	for key, declared := range t.Parameters {
		if _, has := raw[key]; !has {
			if declared.Default == nil {
				return nil, nil, invalid("Parameters: [%s] must have values", key)
			}
			raw[key] = fmt.Sprint(declared.Default)
		}
		value := raw[key]
		if len(declared.AllowedValues) > 0 && !slices.ContainsFunc(declared.AllowedValues, func(allowed any) bool { return fmt.Sprint(allowed) == value }) {
			return nil, nil, invalid("Parameter '%s' must be one of AllowedValues", key)
		}
		if declared.AllowedPattern != "" {
			if pattern, err := regexp.Compile("^(?:" + declared.AllowedPattern + ")$"); err != nil || !pattern.MatchString(value) {
				return nil, nil, invalid("Parameter '%s' must match pattern %s", key, declared.AllowedPattern)
			}
		}
		switch declared.Type {
		case "String":
			resolved[key] = value
		case "CommaDelimitedList":
			list := []any{}
			for part := range strings.SplitSeq(value, ",") {
				list = append(list, strings.TrimSpace(part))
			}
			resolved[key] = list
		case ssmType + "String>":
			stored, found := s.parameter(value)
			if !found {
				return nil, nil, invalid("Unable to fetch parameters [%s] from parameter store for this account.", value)
			}
			resolved[key] = stored
		default:
			return nil, nil, invalid("Template format error: the type %s of parameter %s is not understood", declared.Type, key)
		}
	}
	return raw, resolved, nil
}

func insufficient(needed string) error {
	return &apiError{"InsufficientCapabilitiesException", fmt.Sprintf("Requires capabilities : [%s]", needed), http.StatusBadRequest}
}
