package awsstandin

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

func (s *Server) getCallerIdentity(r *request) (any, error) {
	type identity struct{ Arn, UserId, Account string }
	arn := fmt.Sprintf("arn:%s:iam::%s:user/%s", partition, Account, r.principal)
	return identity{arn, "AIDACKCEVSQ6C2EXAMPLE", Account}, nil
}

// assumeRole hands out credentials of a role that a stack has made.
func (s *Server) assumeRole(r *request) (any, error) {
	r.indifferent("RoleSessionName", "DurationSeconds")
	arn := r.text("RoleArn")
	// The session's tags go into the record of the account's calls, which there is none of here.
	r.list("Tags")
	r.list("TransitiveTagKeys")
	name := strings.TrimPrefix(arn, fmt.Sprintf("arn:%s:iam::%s:role/", partition, Account))
	if s.find("AWS::IAM::Role", name) == nil {
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
