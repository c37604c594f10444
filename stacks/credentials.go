package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"squidfleet/params"
	"squidfleet/proxyimage"
)

// secret is one that ECS puts into the entrypoint's environment when a task starts. Its whole
// value is the password or the key.
type secret struct {
	proxyimage.Secret
	stored awssecretsmanager.Secret
}

// Letters and digits have no meaning of their own in a shell or a URL.
const (
	passwordLength  = 32 // 190 bits
	digestKeyLength = 64 // 381 bits
)

// newSecrets makes the secrets of the container's environment. Secrets Manager generates the
// values. Template and assembly hold only the request to do so.
func newSecrets(stack awscdk.Stack, p *params.Params) []secret {
	var passwords constructs.Construct
	var all []secret
	for _, s := range proxyimage.Secrets(p) {
		if s.User == "" {
			const description = "Key of the nonces that the proxy's tasks hand out; " +
				"several keys, separated by spaces: the first signs, all are accepted"
			all = append(all, secret{s, generated(stack, "DigestKey", description, digestKeyLength)})
			continue
		}
		if passwords == nil {
			passwords = constructs.NewConstruct(stack, jsii.String("Passwords"))
		}
		// The prefix is there because the CDK gives children named Resource and Default a meaning.
		all = append(all, secret{s,
			generated(passwords, "Of-"+s.User, "Password of the proxy user "+s.User, passwordLength)})
	}
	return all
}

func generated(scope constructs.Construct, id, description string, length int) awssecretsmanager.Secret {
	return awssecretsmanager.NewSecret(scope, jsii.String(id), &awssecretsmanager.SecretProps{
		Description: jsii.String(description),
		GenerateSecretString: &awssecretsmanager.SecretStringGenerator{
			PasswordLength:     jsii.Number(length),
			ExcludePunctuation: jsii.Bool(true),
		},
		RemovalPolicy: awscdk.RemovalPolicy_DESTROY,
	})
}
