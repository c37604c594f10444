package operator

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"squidfleet/internal/paste"
	"squidfleet/proxyimage/container"
	"squidfleet/squid"
)

// Credentials are what a client needs. The names of its JSON are stable.
type Credentials struct {
	// Endpoint is host and port of the proxy.
	Endpoint string `json:"endpoint"`
	// Scheme is that of the proxy's URL: https where clients speak TLS to it.
	Scheme string `json:"scheme"`
	// Auth is what the proxy asks for.
	Auth squid.Auth `json:"auth"`
	// Addresses are where each egress address has a port of its own, if it has one.
	Addresses []AddressProxy `json:"addresses,omitempty"`
	// Try is a page that shows its caller's address, or "" when the fleet's ports allow none.
	Try string `json:"try"`
	// Source is where the passwords are. With "image" AWS knows neither them nor the users. It is ""
	// with auth=none, where there are none.
	Source container.Credentials `json:"source"`
	// Users are all users of the fleet, or the one that was asked for. With auth=none there is one
	// without a name.
	Users []User `json:"users"`
}

// AddressProxy is the proxy of one egress address: host and port, or a URL with a user.
type AddressProxy struct {
	Number int    `json:"number"`
	Proxy  string `json:"proxy"`
}

// User is one of the proxy's users.
type User struct {
	Name string `json:"user"`
	// Password is set only when it was asked for.
	Password string `json:"password,omitempty"`
	// Proxy is the URL of the proxy, without a password unless that was asked for.
	Proxy string `json:"proxy"`
	// Addresses are the URLs that always lead to one egress address.
	Addresses []AddressProxy `json:"addresses,omitempty"`
	// Curl is a command that uses the proxy, asking for a password without one; "" if Try is.
	Curl string `json:"curl"`
	// Environment holds the variables that programs take a proxy from, unless a password is missing.
	Environment map[string]string `json:"environment,omitempty"`
}

// Credentials returns how to use the fleet: as one user, or with an empty user as all. It reads
// passwords only with showPassword.
func (f *Connection) Credentials(ctx context.Context, user string, showPassword bool) (*Credentials, error) {
	all, definition, err := f.definition(ctx)
	if err != nil {
		return nil, err
	}
	environment := map[string]string{}
	for _, one := range definition.ContainerDefinitions {
		for _, pair := range one.Environment {
			environment[aws.ToString(pair.Name)] = aws.ToString(pair.Value)
		}
	}
	c := &Credentials{
		Endpoint: f.outputs[outputEndpoint],
		Scheme:   cmp.Or(f.outputs[outputScheme], "http"),
		Auth:     cmp.Or(squid.Auth(environment[container.EnvAuth]), squid.AuthDigest),
		Try:      tryURL(f.outputs[outputTryIt]),
		Source:   container.Credentials(environment[container.EnvCredentials]),
		Users:    []User{},
	}
	host, _, _ := net.SplitHostPort(c.Endpoint)
	for _, a := range all {
		if a.Port > 0 {
			c.Addresses = append(c.Addresses, AddressProxy{a.Number, net.JoinHostPort(host, strconv.Itoa(a.Port))})
		}
	}
	users := []string{user}
	switch {
	case !c.Auth.Passwords():
		if user != "" || showPassword {
			return nil, refuse("%s asks for no password (auth=none), and has no users", f.Name)
		}
	case c.Source == container.CredentialsImage:
		if showPassword {
			return nil, refuse("%s has its passwords in the image (credentials=image), as hashes: only the person "+
				"who built it knows them", f.Name)
		}
		if user == "" {
			users = nil
		}
	default:
		known := strings.Split(environment[container.EnvUsers], ",")
		if user == "" {
			users = known
		} else if !slices.Contains(known, user) {
			return nil, fmt.Errorf("%s has no user %q: its users are %s", f.Name, user, strings.Join(known, ", "))
		}
	}
	for _, name := range users {
		password := ""
		if showPassword {
			if password, err = f.password(ctx, name, secretsOf(definition)); err != nil {
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
	_, definition, err := f.definition(ctx)
	if err != nil {
		return nil, err
	}
	return secretsOf(definition), nil
}

func secretsOf(definition *types.TaskDefinition) map[string]string {
	all := map[string]string{}
	for _, one := range definition.ContainerDefinitions {
		for _, secret := range one.Secrets {
			all[aws.ToString(secret.Name)] = aws.ToString(secret.ValueFrom)
		}
	}
	return all
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

// Way is how clients reach the proxy.
func (c *Credentials) Way() paste.Way { return paste.Way{Auth: c.Auth, TLS: c.Scheme == "https"} }

// Login returns how one user uses the proxy.
func (c *Credentials) Login(name, password string) User {
	way, account := c.Way(), url.User(name)
	via := way.Asking(c.Endpoint, name)
	switch {
	case !c.Auth.Passwords():
		account, via = nil, way.Open(c.Endpoint)
	case password != "":
		account, via = url.UserPassword(name, password), way.WithPassword(c.Endpoint, name, password)
	}
	u := User{Name: name, Password: password, Proxy: way.URL(c.Endpoint, account)}
	for _, a := range c.Addresses {
		u.Addresses = append(u.Addresses, AddressProxy{a.Number, way.URL(a.Proxy, account)})
	}
	if password != "" || !c.Auth.Passwords() {
		u.Environment = map[string]string{}
		for _, name := range paste.Variables {
			u.Environment[name] = u.Proxy
		}
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
