package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"squidfleet/params"
	"squidfleet/proxyimage/container"
	"squidfleet/squid"
)

// password is a user's secret. Its whole value is the password.
type password struct {
	user   string
	secret awssecretsmanager.Secret
}

// handed is a secret that ECS puts into the environment of the entrypoint when a task starts.
type handed struct {
	variable string
	secret   awssecretsmanager.Secret
}

// passwordLength with letters and digits only makes 190 bits, and no character that a shell or a URL would take for its own.
const passwordLength = 32

// newPasswords makes a secret a user with a generated password, and none when the passwords are in the image. The password exists in Secrets Manager only: template and assembly
// hold the request to generate it.
func newPasswords(stack awscdk.Stack, p *params.Params) []password {
	if p.Credentials != params.CredentialsSecretsManager {
		return nil
	}
	scope := constructs.NewConstruct(stack, jsii.String("Passwords"))
	var all []password
	for _, user := range p.Users {
		// With a prefix, because the CDK takes children named Resource and Default for more than names.
		all = append(all, password{user, generated(scope, "Of-"+user, "Password of the proxy user "+user, passwordLength)})
	}
	return all
}

// digestKeyLength makes 381 bits.
const digestKeyLength = 64

// newDigestKey makes the key that all tasks sign and check nonces with, apart from the passwords: with a nonce made from a password, anybody who is challenged could guess offline. It is in Secrets Manager in both credential modes.
// There is none where Squid itself checks credentials.
func newDigestKey(stack awscdk.Stack, p *params.Params) awssecretsmanager.Secret {
	if p.Digest != params.DigestFleet {
		return nil
	}
	return generated(stack, "DigestKey", "Key of the nonces that the proxy's tasks hand out; several keys, separated by spaces: the first signs, all are accepted", digestKeyLength)
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

// handOver lists what the tasks get to know.
func handOver(passwords []password, digestKey awssecretsmanager.Secret) []handed {
	var all []handed
	for _, p := range passwords {
		all = append(all, handed{squid.PasswordVariable(p.user), p.secret})
	}
	if digestKey != nil {
		all = append(all, handed{container.EnvDigestKeys, digestKey})
	}
	return all
}
