package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"squidfleet/internal/operator"
)

func (v *visit) credentials(ctx context.Context) (Finding, error) {
	answer, err := sts.NewFromConfig(v.cfg).GetCallerIdentity(ctx, nil)
	if err != nil {
		return Finding{}, err
	}
	v.account = aws.ToString(answer.Account)
	return ok("account %s in %s, as %s", v.account, v.cfg.Region, aws.ToString(answer.Arn))
}

// deployment finds the fleet, if there is one.
func (v *visit) deployment(ctx context.Context) (found Finding, err error) {
	fleet, err := operator.ConnectWith(ctx, v.cfg, v.options)
	var none *operator.NotDeployed
	var asked *smithy.OperationError
	switch {
	case err == nil:
		v.fleet = fleet
		return ok("%s is deployed", v.options.StackName)
	case errors.As(err, &none):
		return Finding{Level: Note, Detail: v.options.StackName + " is not deployed"}, nil
	case errors.As(err, &asked):
		return Finding{}, err
	}
	return problem("make deploy", "%v", err)
}

// What "cdk bootstrap" has to have made, as manifest.json of an assembly of aws-cdk-lib 2.270.0
// says: requiresBootstrapStackVersion of the stacks, and of the role that looks up a vpcId.
const (
	bootstrapVersion          = 6
	bootstrapVersionForLookup = 8
	bootstrapParameter        = "/cdk-bootstrap/hnb659fds/version"
)

func (v *visit) bootstrap(ctx context.Context) (Finding, error) {
	fix := fmt.Sprintf("npx cdk bootstrap aws://%s/%s", v.account, v.cfg.Region)
	answer, err := ssm.NewFromConfig(v.cfg).GetParameter(ctx,
		&ssm.GetParameterInput{Name: aws.String(bootstrapParameter)})
	if isCode(err, "ParameterNotFound") {
		return problem(fix, "%s is not bootstrapped for the CDK", v.cfg.Region)
	}
	if err != nil {
		return Finding{}, err
	}
	need := bootstrapVersion
	if importedVPC(v) {
		need = bootstrapVersionForLookup
	}
	value := aws.ToString(answer.Parameter.Value)
	if version, err := strconv.Atoi(value); err != nil || version < need {
		return problem(fix, "version %s, and %d is needed", value, need)
	}
	return ok("version %s, and %d is needed", value, need)
}

// role looks for a service-linked role. A cluster with capacity providers makes ECS's and needs it
// at once: https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/818
func role(name, service string, missing Level, why string) check {
	name = "AWSServiceRoleFor" + name
	run := func(v *visit, ctx context.Context) (Finding, error) {
		_, err := iam.NewFromConfig(v.cfg).GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String(name)})
		if isCode(err, "NoSuchEntity") {
			return Finding{
				Level: missing, Detail: fmt.Sprintf("no %s: %s", name, why),
				Fix: fmt.Sprintf("aws iam create-service-linked-role --aws-service-name %s.amazonaws.com", service),
			}, nil
		}
		return Finding{Level: OK, Detail: name}, err
	}
	return check{"role of " + service, []string{"iam:GetRole"}, always, run}
}

// fargateZones are the zones with Fargate in regions where others have none, by their ids, as of
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/AWS_Fargate-Regions.html (2026-11).
// No API tells.
var fargateZones = map[string][]string{
	"ap-northeast-1": {"apne1-az1", "apne1-az2", "apne1-az4"},
	"cn-north-1":     {"cnn1-az1", "cnn1-az2"},
	"us-west-1":      {"usw1-az1", "usw1-az3"},
}

func (v *visit) hasFargate(zoneID string) bool {
	known, some := fargateZones[v.cfg.Region]
	return !some || slices.Contains(known, zoneID)
}

// zones looks at the two zones that the fleet's own VPC gets: the first by name.
func (v *visit) zones(ctx context.Context) (Finding, error) {
	answer, err := ec2.NewFromConfig(v.cfg).DescribeAvailabilityZones(ctx, &ec2.DescribeAvailabilityZonesInput{
		Filters: []types.Filter{{Name: aws.String("zone-type"), Values: []string{"availability-zone"}}},
	})
	if err != nil {
		return Finding{}, err
	}
	var all, usable []string
	for _, z := range answer.AvailabilityZones {
		all = append(all, aws.ToString(z.ZoneName))
		if z.State == types.AvailabilityZoneStateAvailable && v.hasFargate(aws.ToString(z.ZoneId)) {
			usable = append(usable, aws.ToString(z.ZoneName))
		}
	}
	slices.Sort(all)
	slices.Sort(usable)
	if len(usable) < 2 {
		return problem("deploy to another region", "two zones are needed, and these can be used: %s",
			strings.Join(usable, ", "))
	}
	own := all[:2]
	if len(v.params.Zones) > 0 {
		own = v.params.Zones
	}
	wrong := slices.DeleteFunc(slices.Clone(own), func(name string) bool { return slices.Contains(usable, name) })
	if len(wrong) > 0 {
		return problem("give two of these as zones: "+strings.Join(usable, ", "),
			"the fleet's own VPC gets %s, and %s is not available or has no Fargate",
			strings.Join(own, " and "), strings.Join(wrong, ", "))
	}
	return ok("the fleet's own VPC gets %s", strings.Join(own, " and "))
}
