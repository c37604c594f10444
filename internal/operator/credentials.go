package operator

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"squidfleet/internal/paste"
	"squidfleet/proxyimage/container"
	"squidfleet/squid"
)

// Credentials are what a client needs. The names of its JSON are stable.
type Credentials struct {
	// Endpoint is host and port of the proxy.
	Endpoint string `json:"endpoint"`
	// Try is a page that shows its caller's address, or "" when the fleet's ports allow none.
	Try string `json:"try"`
	// Source is where the passwords are. With "image" AWS knows neither them nor the users.
	Source container.Credentials `json:"source"`
	// Users are all users of the fleet, or the one that was asked for.
	Users []User `json:"users"`
}

// User is one of the proxy's Digest users.
type User struct {
	Name string `json:"user"`
	// Password is set only when it was asked for.
	Password string `json:"password,omitempty"`
	// Curl is a command that uses the proxy, asking for a password without one; "" if Try is.
	Curl string `json:"curl"`
	// Environment holds the variables that programs take a proxy from, if there is a password.
	Environment map[string]string `json:"environment,omitempty"`
}

// Credentials returns how to use the fleet: as one user, or with an empty user as all. It reads
// passwords only with showPassword.
func (f *Connection) Credentials(ctx context.Context, user string, showPassword bool) (*Credentials, error) {
	environment, secrets, err := f.container(ctx)
	if err != nil {
		return nil, err
	}
	c := &Credentials{
		Endpoint: f.outputs[outputEndpoint],
		Source:   container.Credentials(environment[container.EnvCredentials]),
		Users:    []User{},
	}
	c.Try = tryURL(f.outputs[outputTryIt])
	if c.Source == container.CredentialsImage {
		if user == "" && !showPassword {
			return c, nil
		}
		if showPassword {
			return nil, refuse("%s has its passwords in the image (credentials=image), as hashes: only the person "+
				"who built it knows them", f.Name)
		}
		c.Users = append(c.Users, c.Login(user, ""))
		return c, nil
	}
	users := strings.Split(environment[container.EnvUsers], ",")
	if user != "" {
		if !slices.Contains(users, user) {
			return nil, fmt.Errorf("%s has no user %q: its users are %s", f.Name, user, strings.Join(users, ", "))
		}
		users = []string{user}
	}
	for _, name := range users {
		password := ""
		if showPassword {
			if password, err = f.password(ctx, name, secrets); err != nil {
				return nil, err
			}
		}
		c.Users = append(c.Users, c.Login(name, password))
	}
	return c, nil
}

// Secrets returns the ARNs of the secrets that ECS hands to the tasks, by their environment
// variables.
func (f *Connection) Secrets(ctx context.Context) (map[string]string, error) {
	_, secrets, err := f.container(ctx)
	return secrets, err
}

// container returns the tasks' environment variables, and the ARNs of the secrets behind others.
func (f *Connection) container(ctx context.Context) (environment, secrets map[string]string, err error) {
	service, err := f.describeService(ctx)
	if err != nil {
		return nil, nil, err
	}
	answer, err := f.ecs.DescribeTaskDefinition(ctx,
		&ecs.DescribeTaskDefinitionInput{TaskDefinition: service.TaskDefinition})
	if err != nil {
		return nil, nil, err
	}
	environment, secrets = map[string]string{}, map[string]string{}
	for _, definition := range answer.TaskDefinition.ContainerDefinitions {
		for _, pair := range definition.Environment {
			environment[aws.ToString(pair.Name)] = aws.ToString(pair.Value)
		}
		for _, secret := range definition.Secrets {
			secrets[aws.ToString(secret.Name)] = aws.ToString(secret.ValueFrom)
		}
	}
	return environment, secrets, nil
}

// password reads the secret that ECS hands to the tasks for that user.
func (f *Connection) password(ctx context.Context, user string, secrets map[string]string) (string, error) {
	variable := squid.PasswordVariable(user)
	if secrets[variable] == "" {
		return "", fmt.Errorf("the tasks of %s get no secret %s: it was not deployed by this version of squidfleet",
			f.Name, variable)
	}
	answer, err := f.secrets.GetSecretValue(ctx,
		&secretsmanager.GetSecretValueInput{SecretId: aws.String(secrets[variable])})
	if err != nil {
		return "", err
	}
	return aws.ToString(answer.SecretString), nil
}

// Login returns how one user uses the proxy.
func (c *Credentials) Login(name, password string) User {
	u := User{Name: name, Password: password}
	via := paste.Asking(c.Endpoint, name)
	if password != "" {
		via = paste.WithPassword(c.Endpoint, name, password)
		proxy := paste.Proxy(c.Endpoint, name, password)
		u.Environment = map[string]string{"http_proxy": proxy, "https_proxy": proxy}
	}
	if c.Try != "" {
		u.Curl = paste.Curl(via, c.Try)
	}
	return u
}

// tryURL is the last word of the output TryIt.
func tryURL(command string) string {
	last := command[strings.LastIndexByte(command, ' ')+1:]
	if strings.HasPrefix(last, "http://") || strings.HasPrefix(last, "https://") {
		return last
	}
	return ""
}
