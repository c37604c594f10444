package check

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// script runs the validation. Node.js looks for npm's packages from the directory that it is
// started in.
//
//go:embed engine.cjs
var script string

// Template is a CloudFormation template, and where it goes if that is known.
type Template struct {
	Path    string `json:"path"`
	Account string `json:"account"`
	Region  string `json:"region"`
}

// mistaken are findings that are none. What is said to be ignored is ICMPv6's type and code, by the
// reference of AWS::EC2::SecurityGroup. Zones are named where the parameters name them, which is a
// promise. A universal target begins with its partition, as the CDK's own (aws-scheduler-targets).
var mistaken = regexp.MustCompile(`^W3687: .* 'IpProtocol' value 'icmpv6'|^W3010: |` +
	`^pf-scheduler-universal-target: 'arn:aws-(?:cn|us-gov):scheduler:::aws-sdk:ecs:updateService' `)

// Validate runs AWS's offline validation and the rules of cdk-preflight. Warnings count: a
// value outside of its enumeration is only one (W3030), and yet AWS refuses it.
//
// It needs node of the PATH, and the npm packages of package.json in root or one of its parents.
func Validate(ctx context.Context, root string, templates ...Template) ([]Finding, error) {
	for i := range templates {
		path, err := filepath.Abs(templates[i].Path)
		if err != nil {
			return nil, err
		}
		templates[i].Path = path
	}
	var output, problems bytes.Buffer
	node := exec.CommandContext(ctx, "node", "--eval", script)
	node.Dir, node.Stdin, node.Stdout, node.Stderr = root, strings.NewReader(written(templates)), &output, &problems
	node.Env = append(os.Environ(), "NODE_OPTIONS=")
	var violations []struct{ Path, Rule, Resource, Message string }
	err := node.Run()
	if err == nil {
		err = json.Unmarshal(output.Bytes(), &violations)
	} else if strings.Contains(problems.String(), "MODULE_NOT_FOUND") {
		err = fmt.Errorf("the npm packages are missing: run npm ci: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("AWS's validation: %w\n%s", err, problems.String())
	}
	var findings []Finding
	for _, v := range violations {
		if mistaken.MatchString(v.Rule + ": " + v.Message) {
			continue
		}
		message := strings.Join(strings.Fields(v.Resource+": "+v.Message), " ")
		findings = append(findings, Finding{filepath.Base(v.Path), v.Rule, message})
	}
	return findings, nil
}
