package check

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// script runs the validation engine. Node.js reads it from the command line, and looks for npm's packages from the directory it is started in.
//
//go:embed engine.cjs
var script string

// diagnostic is what the engine says about a template. Its severity is at least a warning.
type diagnostic struct {
	RuleID       string `json:"ruleId"`
	Severity     string `json:"severity"`
	Message      string `json:"message"`
	PropertyPath string `json:"propertyPath"`
	Entity       *struct {
		LogicalID string `json:"logicalId"`
	} `json:"entity"`
}

// preflightPrefix begins the ids of cdk-preflight's rules.
const preflightPrefix = "pf-"

// Validate runs AWS's offline validation with all of its rules and those of cdk-preflight over the files of templates, in one process, and returns the findings of each stack.
// Warnings count: a value outside its enumeration is only one (W3030), and yet AWS refuses it.
//
// It needs node, of the PATH, and the npm packages of package.json in directory or one of its parents.
func Validate(ctx context.Context, directory string, stacks ...*Stack) ([][]Finding, error) {
	type template struct {
		Path    string `json:"path"`
		Account string `json:"account"`
		Region  string `json:"region"`
	}
	var templates []template
	var readable []int
	all := make([][]Finding, len(stacks))
	for i, s := range stacks {
		if s.Raw != nil { // otherwise Load has told why
			templates, readable = append(templates, template{s.TemplateFile, s.Account, s.Region}), append(readable, i)
		}
	}
	if len(templates) == 0 {
		return all, nil
	}
	input, err := json.Marshal(templates)
	if err != nil {
		return nil, err
	}
	node := exec.CommandContext(ctx, "node", "--eval", script)
	node.Dir, node.Stdin = directory, bytes.NewReader(input)
	var output, problems bytes.Buffer
	node.Stdout, node.Stderr = &output, &problems
	node.Env = append(os.Environ(), "NODE_OPTIONS=")
	if err := node.Run(); err != nil {
		if strings.Contains(problems.String(), "MODULE_NOT_FOUND") {
			err = fmt.Errorf("the npm packages are missing: run npm ci: %w", err)
		}
		return nil, fmt.Errorf("AWS's validation: %w\n%s", err, problems.String())
	}
	var reports [][]diagnostic
	if err := json.Unmarshal(output.Bytes(), &reports); err != nil {
		return nil, fmt.Errorf("AWS's validation: %w\n%s", err, problems.String())
	}
	if len(reports) != len(templates) {
		return nil, errors.New("AWS's validation: a template has no report")
	}
	for i, report := range reports {
		for _, d := range report {
			all[readable[i]] = append(all[readable[i]], d.finding(stacks[readable[i]].Name))
		}
	}
	return all, nil
}

func (d diagnostic) finding(template string) Finding {
	f := Finding{Template: template, Resource: none, Rule: d.RuleID, Message: d.Message, Layer: AWS}
	if d.Entity != nil && d.Entity.LogicalID != "" {
		f.Resource = d.Entity.LogicalID
	}
	if d.PropertyPath != "" {
		f.Message = d.PropertyPath + ": " + f.Message
	}
	f.Message = strings.Join(strings.Fields(f.Message), " ")
	if strings.HasPrefix(f.Rule, preflightPrefix) {
		f.Layer = Preflight
	}
	return f
}
