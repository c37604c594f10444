package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"squidfleet/internal/operator"
)

func rotations(
	which string, ask func(*operator.Connection, context.Context) (string, error), actions ...string,
) check {
	return check{"rotations " + which, actions, deployed,
		func(v *visit, ctx context.Context) (Finding, error) {
			return trouble(ask(v.fleet, ctx))
		}}
}

func (v *visit) hanging(ctx context.Context) (Finding, error) {
	return trouble(v.fleet.HangingDeployments(ctx, v.params.RotationTime()))
}

// trouble makes a finding of a line, whose last part says what to do.
func trouble(line string, err error) (Finding, error) {
	if line == "" || err != nil {
		return Finding{Level: OK, Detail: "none"}, err
	}
	end := strings.LastIndex(line, "; ")
	return problem(line[end+2:], "%s", line[:end])
}

// secrets looks at those that ECS reads when it starts a task. It reads none.
func (v *visit) secrets(ctx context.Context) (Finding, error) {
	all, err := v.fleet.Secrets(ctx)
	if err != nil {
		return Finding{}, err
	}
	for _, variable := range slices.Sorted(maps.Keys(all)) {
		id, fix := all[variable], ""
		s, err := secretsmanager.NewFromConfig(v.cfg).DescribeSecret(ctx,
			&secretsmanager.DescribeSecretInput{SecretId: aws.String(id)})
		gone := isCode(err, "ResourceNotFoundException")
		if err != nil && !gone {
			return Finding{}, err
		}
		switch {
		case gone:
			fix = "make deploy without what needs it, then with it again"
		case s.DeletedDate != nil:
			fix = fmt.Sprintf("aws secretsmanager restore-secret --region %s --secret-id %s", v.cfg.Region, id)
		case !slices.Contains(slices.Concat(slices.Collect(maps.Values(s.VersionIdsToStages))...), "AWSCURRENT"):
			fix = fmt.Sprintf("aws secretsmanager put-secret-value --region %s --secret-id %s --secret-string "+
				"file:///dev/stdin", v.cfg.Region, id)
		}
		if fix != "" {
			return problem(fix, "no task can start: the secret for %s is deleted, or has no value", variable)
		}
	}
	return ok("%d, each with a value", len(all))
}

// image is the tag of the fleet's image, which is the hash of its sources.
var image = regexp.MustCompile(`-container-assets-[^"]*:([0-9a-f]{64})"`)

// template compares the deployed template with that of the assembly.
func (v *visit) template(ctx context.Context) (Finding, error) {
	stack := v.options.StackName + "-Proxy"
	ours, why := v.synthesised(stack)
	if why != "" {
		return Finding{Level: Note, Detail: "not compared: " + why, Fix: "make synth, then squidfleet doctor"}, nil
	}
	answer, err := cloudformation.NewFromConfig(v.cfg).GetTemplate(ctx,
		&cloudformation.GetTemplateInput{StackName: aws.String(stack)})
	if err != nil {
		return Finding{}, err
	}
	theirs := []byte(aws.ToString(answer.TemplateBody))
	var a, b any
	if json.Unmarshal(ours, &a) == nil && json.Unmarshal(theirs, &b) == nil && reflect.DeepEqual(a, b) {
		return ok("image and template are those of cdk.out")
	}
	what := "the template"
	if !slices.Equal(image.Find(ours), image.Find(theirs)) {
		what = "the image"
	}
	return problem("make diff shows the difference, make deploy ends it", "%s of %s is not that of cdk.out", what,
		stack)
}

// synthesised returns the template in the assembly, or why there is none of these parameters.
func (v *visit) synthesised(stack string) (template []byte, why string) {
	var metadata map[string][]struct {
		Type string
		Data any
	}
	text, err := fs.ReadFile(v.assembly, stack+".metadata.json")
	if err == nil {
		err = json.Unmarshal(text, &metadata)
	}
	if err == nil {
		template, err = fs.ReadFile(v.assembly, stack+".template.json")
	}
	if err != nil {
		return nil, "there is no cdk.out with " + stack
	}
	// The entry is what package json makes of the parameters.
	var now any
	if text, err = json.Marshal(v.params); err == nil {
		err = json.Unmarshal(text, &now)
	}
	for _, entry := range metadata["/"+stack] {
		if err == nil && entry.Type == "squidfleet:parameters" && reflect.DeepEqual(entry.Data, now) {
			return template, ""
		}
	}
	return nil, "cdk.out was made from other parameters"
}
