package awsstandin

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"squidfleet/internal/awsapi"
)

func (s *Server) getCallerIdentity(r *request) (any, error) {
	arn := fmt.Sprintf("arn:%s:iam::%s:user/%s", partition, Account, r.principal)
	return struct{ Arn, UserId, Account string }{arn, "AIDACKCEVSQ6C2EXAMPLE", Account}, nil
}

// role finds a role that a stack has made, by its ARN.
func (s *Server) role(arn string) (name string, role *resource) {
	name = strings.TrimPrefix(arn, fmt.Sprintf("arn:%s:iam::%s:role/", partition, Account))
	return name, s.find("AWS::IAM::Role", name)
}

// trustsAccount reports whether a role's trust policy admits the account's own principals, as
// those of the bootstrap's roles do, and not only services. It looks at neither conditions nor
// other accounts.
func trustsAccount(role *resource) bool {
	document, _ := role.properties["AssumeRolePolicyDocument"].(map[string]any)
	for _, statement := range listOf(document["Statement"]) {
		statement, _ := statement.(map[string]any)
		principal, _ := statement["Principal"].(map[string]any)
		if statement["Effect"] != "Allow" || !slices.Contains(listOf(statement["Action"]), any("sts:AssumeRole")) {
			continue
		}
		for _, admitted := range listOf(principal["AWS"]) {
			if admitted == Account || admitted == fmt.Sprintf("arn:%s:iam::%s:root", partition, Account) {
				return true
			}
		}
	}
	return false
}

// listOf returns a policy's value as a list: IAM takes one without brackets, too.
func listOf(value any) []any {
	if list, is := value.([]any); is {
		return list
	}
	return []any{value}
}

// assumeRole hands out credentials of a role that a stack has made, and that trusts the account.
func (s *Server) assumeRole(r *request) (any, error) {
	r.indifferent("RoleSessionName", "DurationSeconds")
	r.list("Tags")
	r.list("TransitiveTagKeys")
	arn := r.text("RoleArn")
	name, role := s.role(arn)
	if role == nil || !trustsAccount(role) {
		return nil, awsapi.Refuse("AccessDenied", "not authorized to perform: sts:AssumeRole on resource: %s", arn)
	}
	id := s.id()
	key, token := "ASIA"+strings.ToUpper(id[1:]), "token-"+id
	s.credentials[key] = credential{token, name}
	type credentials struct{ AccessKeyId, SecretAccessKey, SessionToken, Expiration string }
	return struct{ Credentials credentials }{
		credentials{key, "secret-" + id, token, time.Now().Add(time.Hour).UTC().Format(time.RFC3339)},
	}, nil
}

func (s *Server) getParameter(r *request) (any, error) {
	r.indifferent("WithDecryption")
	name := r.text("Name")
	stored := s.find("AWS::SSM::Parameter", name)
	if stored == nil {
		return nil, awsapi.Refuse("ParameterNotFound", "Parameter %s not found.", name)
	}
	value := map[string]any{"Name": name, "Type": "String", "Value": stored.properties["Value"]}
	return map[string]any{"Parameter": value}, nil
}
