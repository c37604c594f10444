// Package doctor checks an AWS account and region for what a fleet needs, before its deployment
// and after it. It changes nothing, and reads no password.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"

	"squidfleet/internal/operator"
	"squidfleet/params"
)

// Level says what a finding means.
type Level string

const (
	// OK is as it has to be.
	OK Level = "ok"
	// Note is worth knowing, and nothing has to be done.
	Note Level = "note"
	// Unknown is what AWS did not answer, mostly for want of a permission.
	Unknown Level = "unknown"
	// Problem keeps a fleet from being deployed or from working.
	Problem Level = "problem"
)

// Finding is what a check found. The names of its JSON are stable.
type Finding struct {
	Check string `json:"check"`
	Level Level  `json:"level"`
	// Detail says what was seen, Fix what to do about it.
	Detail string `json:"detail"`
	Fix    string `json:"fix,omitempty"`
	// Permissions are the IAM actions that the check needs.
	Permissions []string `json:"permissions"`
}

// Report is what all checks found, in their order. The names of its JSON are stable.
type Report struct {
	Account  string    `json:"account"`
	Region   string    `json:"region"`
	Findings []Finding `json:"findings"`
}

// Ill reports whether there is anything to do.
func (r *Report) Ill() bool { return slices.ContainsFunc(r.Findings, Finding.Ill) }

// Ill reports whether there is something to do: a problem, or a question that AWS did not answer.
func (f Finding) Ill() bool { return f.Level == Problem || f.Level == Unknown }

// check is one thing to look at.
type check struct {
	name string
	// actions are the IAM actions that it calls.
	actions []string
	applies func(*visit) bool
	run     func(*visit, context.Context) (Finding, error)
}

// checks are all of them. The first two find out what the others need.
var checks = slices.Concat(
	[]check{
		{"credentials", []string{"sts:GetCallerIdentity"}, always, (*visit).credentials},
		{"fleet", []string{"cloudformation:DescribeStacks"}, always, (*visit).deployment},
		{"bootstrap", []string{"ssm:GetParameter"}, always, (*visit).bootstrap},
		role("ECS", "ecs", Problem, "the first deployment often fails without it"),
		role("ElasticLoadBalancing", "elasticloadbalancing", Note,
			"the first load balancer makes it, if the caller may create service-linked roles"),
		{"zones", []string{"ec2:DescribeAvailabilityZones"}, ownVPC, (*visit).zones},
	},
	quotaChecks(),
	[]check{
		ofSubnets("subnets", "", importedVPC, (*visit).subnets),
		ofSubnets("free addresses", "", importedVPC, (*visit).freeAddresses),
		ofSubnets("IPv6 of the subnets", "", ipv6Clients, (*visit).subnetsIPv6),
		ofSubnets("IPv6 of the tasks", "ecs:ListAccountSettings", importedVPC, (*visit).tasksIPv6),
		ofSubnets("network ACLs", "ec2:DescribeNetworkAcls", importedVPC, (*visit).networkACLs),
		{"certificate", []string{"acm:DescribeCertificate"}, givenCertificate, (*visit).certificate},
		{"hosted zone", []string{"route53:GetHostedZone"}, givenZone, (*visit).hostedZone},
		{"groups of clients", []string{"ec2:DescribeSecurityGroups"}, givenGroups, (*visit).groups},
	},
	ofDeployed,
)

// ofDeployed are the checks of a deployed fleet.
var ofDeployed = []check{
	rotations("that could not begin", (*operator.Connection).FailedRotations, "sqs:GetQueueAttributes"),
	rotations("that were given up", (*operator.Connection).AbandonedDeployments, "ecs:ListServices",
		"ecs:DescribeServices", "ecs:ListServiceDeployments"),
	{"rotations that hang", []string{"ecs:ListServices", "ecs:DescribeServices"}, parametrised, (*visit).hanging},
	{"secrets", []string{"ecs:ListServices", "ecs:DescribeServices", "ecs:DescribeTaskDefinition",
		"secretsmanager:DescribeSecret"}, deployed, (*visit).secrets},
	{"template", []string{"cloudformation:GetTemplate"}, parametrised, (*visit).template},
}

func always(*visit) bool         { return true }
func ownVPC(v *visit) bool       { return v.params.VpcID == "" }
func importedVPC(v *visit) bool  { return v.params.VpcID != "" }
func deployed(v *visit) bool     { return v.fleet != nil }
func parametrised(v *visit) bool { return v.fleet != nil && v.params != nil }

// Permissions returns the IAM actions of all checks.
func Permissions() []string { return permissions(checks) }

// PermissionsOfDeployed returns those of the checks of a deployed fleet.
func PermissionsOfDeployed() []string { return permissions(ofDeployed) }

func permissions(some []check) (all []string) {
	for _, c := range some {
		all = append(all, c.actions...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// visit is what the checks work with.
type visit struct {
	params   *params.Params
	options  operator.Options
	cfg      aws.Config
	assembly fs.FS
	account  string
	fleet    *operator.Connection // nil if none was found
	// public returns the public subnets of the imported VPC. It asks once.
	public func() ([]subnet, error)
}

// Examine runs the checks for a fleet with these parameters. A deployed one is compared with the
// assembly, which is cdk.out. The error is for an examination that could not begin, or that was
// interrupted.
func Examine(ctx context.Context, o operator.Options, p *params.Params, assembly fs.FS) (*Report, error) {
	cfg, err := operator.Config(ctx, o)
	if err != nil {
		return nil, err
	}
	v := &visit{params: p, options: o, cfg: cfg, assembly: assembly}
	v.public = sync.OnceValues(func() ([]subnet, error) { return v.publicSubnets(ctx) })
	findings, err := v.make(ctx, checks)
	if err != nil {
		return nil, err
	}
	return &Report{v.account, cfg.Region, findings}, nil
}

// Deployed runs the checks of a deployed fleet, which was found with cfg. Without parameters it
// leaves out those that compare the fleet with them. The error is for an interruption.
func Deployed(
	ctx context.Context, cfg aws.Config, o operator.Options, fleet *operator.Connection, p *params.Params,
	assembly fs.FS,
) ([]Finding, error) {
	v := &visit{params: p, options: o, cfg: cfg, assembly: assembly, fleet: fleet}
	return v.make(ctx, ofDeployed)
}

// make makes the checks that apply.
func (v *visit) make(ctx context.Context, some []check) (all []Finding, err error) {
	for _, c := range some {
		if !c.applies(v) {
			continue
		}
		found, err := c.run(v, ctx)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if v.account == "" && v.fleet == nil {
			return nil, err // Without an account there is nobody to ask anything else.
		}
		if err != nil {
			found = Unanswered(err, v.options)
		}
		found.Check, found.Permissions = c.name, c.actions
		all = append(all, found)
	}
	return all, nil
}

// Unanswered is the finding of a check that AWS did not answer.
func Unanswered(err error, o operator.Options) Finding {
	if action := operator.Denied(err); action != "" {
		return Finding{
			Level: Unknown, Detail: "AWS does not allow " + action,
			Fix: "let your IAM policy allow " + action + ", or name another --profile",
		}
	}
	return Finding{Level: Unknown, Detail: operator.Explain(err, o), Fix: "run squidfleet doctor again"}
}

func ok(format string, arguments ...any) (Finding, error) {
	return Finding{Level: OK, Detail: fmt.Sprintf(format, arguments...)}, nil
}

func problem(fix, format string, arguments ...any) (Finding, error) {
	return Finding{Level: Problem, Detail: fmt.Sprintf(format, arguments...), Fix: fix}, nil
}

// isCode reports whether an error is AWS's with that code.
func isCode(err error, code string) bool {
	var answer smithy.APIError
	return errors.As(err, &answer) && answer.ErrorCode() == code
}
