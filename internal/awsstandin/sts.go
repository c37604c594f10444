package awsstandin

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

func (s *Server) getCallerIdentity(r *request) (any, error) {
	type identity struct{ Arn, UserId, Account string }
	arn := fmt.Sprintf("arn:%s:iam::%s:user/%s", partition, Account, r.principal)
	return identity{arn, "AIDACKCEVSQ6C2EXAMPLE", Account}, nil
}

// trustsAccount says whether a role's trust policy admits the account's own principals, as those of the bootstrap's roles do, and not only services. Conditions and other accounts are not looked at.
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

// listOf is a policy's value as a list: IAM takes one without brackets, too.
func listOf(value any) []any {
	if list, is := value.([]any); is {
		return list
	}
	return []any{value}
}

// assumeRole hands out credentials of a role that a stack has made, and that trusts the account.
func (s *Server) assumeRole(r *request) (any, error) {
	r.indifferent("RoleSessionName", "DurationSeconds")
	arn := r.text("RoleArn")
	// The session's tags go into the record of the account's calls, which there is none of here.
	r.list("Tags")
	r.list("TransitiveTagKeys")
	name := strings.TrimPrefix(arn, fmt.Sprintf("arn:%s:iam::%s:role/", partition, Account))
	if role := s.find("AWS::IAM::Role", name); role == nil || !trustsAccount(role) {
		return nil, &apiError{"AccessDenied", fmt.Sprintf("User is not authorized to perform: sts:AssumeRole on resource: %s", arn), http.StatusForbidden}
	}
	id := s.id()
	key := "ASIA" + strings.ToUpper(id[1:])
	c := credential{secret: "secret-" + id, token: "token-" + id, principal: name}
	s.credentials[key] = c
	type credentials struct{ AccessKeyId, SecretAccessKey, SessionToken, Expiration string }
	type assumed struct{ Arn, AssumedRoleId string }
	return struct {
		Credentials     credentials
		AssumedRoleUser assumed
	}{
		credentials{key, c.secret, c.token, time.Now().Add(time.Hour).UTC().Format(time.RFC3339)},
		assumed{strings.Replace(arn, ":iam:", ":sts:", 1), "AROA" + key[4:]},
	}, nil
}
