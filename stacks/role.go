package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecrassets"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/jsii-runtime-go"
)

// newExecutionRole makes the role with which ECS prepares a task: it pulls the image, reads the
// secrets and writes the log. The program in the container has no role.
//
// The policies are part of the role, so that they exist before anything uses it.
func newExecutionRole(stack awscdk.Stack, image awsecrassets.DockerImageAsset, log awslogs.CfnLogGroup,
	secrets []secret) awsiam.Role {
	policies := map[string]awsiam.PolicyDocument{
		"PullImage": policy(
			// Asking for a registry login cannot be limited to a repository.
			allow([]string{"ecr:GetAuthorizationToken"}, "*"),
			allow([]string{"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"},
				*image.Repository().RepositoryArn()),
		),
		// The ARN of a log group ends in ":*", which stands for its streams.
		"WriteLog": policy(allow([]string{"logs:CreateLogStream", "logs:PutLogEvents"}, *log.AttrArn())),
	}
	if len(secrets) > 0 {
		var arns []string
		for _, s := range secrets {
			arns = append(arns, *s.stored.SecretArn())
		}
		policies["ReadSecrets"] = policy(allow([]string{"secretsmanager:GetSecretValue"}, arns...))
	}
	return awsiam.NewRole(stack, jsii.String("ExecutionRole"), &awsiam.RoleProps{
		Description:    jsii.String("ECS prepares the tasks of the proxy"),
		AssumedBy:      awsiam.NewServicePrincipal(jsii.String("ecs-tasks.amazonaws.com"), nil),
		InlinePolicies: &policies,
	})
}

func policy(statements ...awsiam.PolicyStatement) awsiam.PolicyDocument {
	return awsiam.NewPolicyDocument(&awsiam.PolicyDocumentProps{Statements: &statements})
}

func allow(actions []string, resources ...string) awsiam.PolicyStatement {
	return awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Actions:   jsii.Strings(actions...),
		Resources: jsii.Strings(resources...),
	})
}
