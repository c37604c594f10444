package stacks

import (
	"fmt"
	"strings"
	"testing"
)

// statements returns the trust policy's statements of a role, and those of all its policies.
func (t template) statements(id string) (trust, policies []any) {
	role := t.Resources[id].Properties
	trust = role["AssumeRolePolicyDocument"].(map[string]any)["Statement"].([]any)
	for _, policy := range role["Policies"].([]any) {
		policies = append(policies, policy.(map[string]any)["PolicyDocument"].(map[string]any)["Statement"].([]any)...)
	}
	return trust, policies
}

func TestExecutionRoleCanPrepareThisFleetsTasksAndNothingElse(t *testing.T) {
	for _, name := range []string{"full", "image", "image and squid"} {
		t.Run(name, func(t *testing.T) {
			a := synth(t, everyFleet[name])
			_, task := a.proxy.only(t, "AWS::ECS::TaskDefinition")
			id := attributeOf(task["ExecutionRoleArn"], "Arn")
			trust, policies := a.proxy.statements(id)
			equal(t, "who may take the role", trust, `[{"Action": "sts:AssumeRole", "Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}}]`)
			if managed, has := a.proxy.Resources[id].Properties["ManagedPolicyArns"]; has {
				t.Errorf("managed policies %v", managed)
			}

			group, _ := a.proxy.only(t, "AWS::Logs::LogGroup")
			var secrets []string
			for _, id := range a.proxy.ids("AWS::SecretsManager::Secret") {
				secrets = append(secrets, fmt.Sprintf(`{"Ref": %q}`, id))
			}
			if want := map[string]int{"full": 4, "image": 1, "image and squid": 0}[name]; len(secrets) != want {
				t.Errorf("%d secrets, want %d", len(secrets), want)
			}
			want := `[{"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"},
				{"Effect": "Allow", "Action": ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
				 "Resource": {"Fn::Join": ["", ["arn:", {"Ref": "AWS::Partition"}, ":ecr:", {"Ref": "AWS::Region"}, ":", {"Ref": "AWS::AccountId"}, ":repository/",
				 	{"Fn::Sub": "cdk-hnb659fds-container-assets-${AWS::AccountId}-${AWS::Region}"}]]}},`
			switch resources := strings.Join(secrets, ","); {
			case len(secrets) > 1:
				want += `{"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": [` + resources + `]},`
			case len(secrets) == 1:
				want += `{"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": ` + resources + `},`
			}
			want += `{"Effect": "Allow", "Action": ["logs:CreateLogStream", "logs:PutLogEvents"], "Resource": {"Fn::GetAtt": ["` + group + `", "Arn"]}}]`
			equal(t, "what the role may do", policies, want)
		})
	}
}
