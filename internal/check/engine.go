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

// mistaken are findings that are none. What is said to be ignored is ICMPv6's type and code, by the
// reference of AWS::EC2::SecurityGroup. Zones are named where the parameters name them. A universal
// target begins with its partition, as the CDK's own (aws-scheduler-targets).
var mistaken = regexp.MustCompile(`^W3687: .* 'IpProtocol' value 'icmpv6'|^W3010: |` +
	`^pf-scheduler-universal-target: 'arn:aws-(?:cn|us-gov):scheduler:::aws-sdk:ecs:updateService' `)

// Validate runs AWS's offline validation and the rules of cdk-preflight over templates, which go to
// an account and a region, or anywhere if these are empty. Their paths are absolute.
//
// Warnings count: a value outside of its enumeration is only one (W3030), and yet AWS refuses it.
//
// It needs node of the PATH, and the npm packages of package.json in root or one of its parents.
func Validate(ctx context.Context, root, account, region string, templates ...string) ([]Finding, error) {
	var output, problems bytes.Buffer
	// More threads take seconds of a processor and find the same.
	arguments := append([]string{"--single-threaded", "--eval", script, account, region}, templates...)
	node := exec.CommandContext(ctx, "node", arguments...)
	node.Dir, node.Stdout, node.Stderr = root, &output, &problems
	node.Env = append(os.Environ(), "NODE_OPTIONS=")
	var violations []struct{ Path, Rule, Resource, Message string }
	err := node.Run()
	if err == nil {
		err = json.Unmarshal(output.Bytes(), &violations)
	}
	if err != nil {
		return nil, fmt.Errorf("AWS's validation: %w\n%s", err, problems.String())
	}
	var findings []Finding
	for _, v := range violations {
		if !mistaken.MatchString(v.Rule + ": " + v.Message) {
			message := strings.Join(strings.Fields(v.Resource+": "+v.Message), " ")
			findings = append(findings, Finding{filepath.Base(v.Path), v.Rule, message})
		}
	}
	return findings, nil
}
