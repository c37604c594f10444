package lifecycle

// The files aws*_test.go are a stand-in for the part of AWS's API that the CDK's command line uses
// for this project's stacks. It makes no resource, and AWS may refuse a template that it takes. It
// shows:
//
//   - The templates can be worked out: every reference, attribute, function and parameter has a
//     value, without a circle, also between the stacks. Ids and attributes are made up.
//   - What changes: which resources of an update change in place, which are replaced, which stay;
//     and that nothing is left after a deletion. A property that may replace a resource under
//     conditions changes it in place.
//   - The image: the registry is real and wants a login.
//   - Who calls: every call has the form of a signed one, with the credentials of
//     [Server.Environment], or those of a role that a stack has made. No signature is computed.
//
// A [Call] that it does not know is unanswered. Operations end at once.

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"

	"squidfleet/internal/awsapi"
	"squidfleet/internal/cfnspec"
)

const (
	Account   = "123456789012"
	Region    = "eu-west-1"
	partition = "aws"
)

// Server is the stand-in. Start makes one.
type Server struct {
	spec     cfnspec.Spec
	api      *httptest.Server // the endpoint of every service
	registry *httptest.Server
	images   http.Handler // the registry without its login

	mu          sync.Mutex
	calls       []Call
	credentials map[string]credential // by access key
	objects     map[string][]byte     // S3's, by "bucket/key"
	stacks      []*stack              // in the order they were made; deleted ones stay
	serial      int                   // makes ids unique
}

type credential struct{ token, principal string }

// Call is one call that reached the stand-in.
type Call struct {
	Service, Action string
	// Principal is who called: User, or the name of a role.
	Principal string
	// Unanswered says why the stand-in had no answer.
	Unanswered string
}

// The credentials of a person who may assume the CDK's roles.
const (
	userKey    = "AKIAIOSFODNN7EXAMPLE"
	userSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	// User is that person, as a call's principal.
	User = "user"
)

// Start serves on loopback until Close.
func Start(spec cfnspec.Spec) *Server {
	s := &Server{
		spec:        spec,
		credentials: map[string]credential{userKey: {principal: User}},
		objects:     map[string][]byte{},
	}
	s.api = httptest.NewServer(s)
	s.startRegistry()
	return s
}

// Close ends both listeners and the connections to them.
func (s *Server) Close() {
	s.api.Close()
	s.registry.Close()
}

// Environment points an AWS SDK at the stand-in and gives it credentials. home keeps it from the
// configuration of the machine's user; no file in it needs to exist.
func (s *Server) Environment(home string) []string {
	return []string{
		"AWS_ENDPOINT_URL=" + s.api.URL, "AWS_ACCESS_KEY_ID=" + userKey, "AWS_SECRET_ACCESS_KEY=" + userSecret,
		"AWS_REGION=" + Region, "AWS_CONFIG_FILE=" + home + "/aws-config",
		"AWS_SHARED_CREDENTIALS_FILE=" + home + "/aws-credentials", "AWS_EC2_METADATA_DISABLED=true", "HOME=" + home,
	}
}

// Calls returns the calls so far.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

type object = awsapi.Object

type request struct {
	*awsapi.Request
	principal string
}

// list returns the elements of a list in the query protocol, each by its fields.
func (r *request) list(name string) (all []object) {
	for i := 1; ; i++ {
		one := object{}
		for key, value := range r.Input {
			if field, found := strings.CutPrefix(key, fmt.Sprintf("%s.member.%d.", name, i)); found {
				one[field] = value
			}
		}
		if len(one) == 0 {
			return all
		}
		all = append(all, one)
	}
}

func invalid(format string, arguments ...any) error {
	return awsapi.Refuse("ValidationError", format, arguments...)
}

// ServeHTTP answers one call of any service.
func (s *Server) ServeHTTP(w http.ResponseWriter, hr *http.Request) {
	read, err := awsapi.Read(hr)
	r := &request{Request: read}
	s.mu.Lock()
	defer s.mu.Unlock()
	var result any
	if err == nil {
		result, err = s.answer(r)
	} else {
		err = errors.New(err.Error()) // also of a call that is not signed: it counts as unanswered
	}
	call := Call{Service: r.Service, Action: r.Action, Principal: r.principal}
	var refused *awsapi.Error
	if err != nil && !errors.As(err, &refused) {
		call.Unanswered = err.Error()
		refused = &awsapi.Error{Code: "InternalFailure", Message: err.Error()}
	}
	s.calls = append(s.calls, call)
	if refused != nil {
		r.WriteError(w, refused)
		return
	}
	r.Write(w, result)
}

// answer handles a call. The server's lock is held.
func (s *Server) answer(r *request) (any, error) {
	known, found := s.credentials[r.AccessKey]
	if !found || r.Token != known.token || r.Region != Region {
		return nil, awsapi.Refuse("InvalidClientTokenId", "the security token included in the request is invalid")
	}
	r.principal = known.principal
	if r.Service == "s3" {
		r.Action = r.HTTP.Method + " " + r.HTTP.URL.RequestURI()
		return s.s3(r)
	}
	if handle := handlers[r.Service+":"+r.Action]; handle != nil {
		return handle(s, r)
	}
	return nil, errNotPart
}

var errNotPart = errors.New("not part of the stand-in")

// handlers are the calls that are answered. Each runs under the server's lock.
var handlers = map[string]func(*Server, *request) (any, error){
	"sts:GetCallerIdentity": (*Server).getCallerIdentity, "sts:AssumeRole": (*Server).assumeRole,
	"ssm:GetParameter": (*Server).getParameter, "ecr:DescribeRepositories": (*Server).describeRepositories,
	"ecr:DescribeImages": (*Server).describeImages, "ecr:GetAuthorizationToken": (*Server).getAuthorizationToken,
	"cloudformation:CreateChangeSet":     (*Server).createChangeSet,
	"cloudformation:DescribeChangeSet":   (*Server).describeChangeSet,
	"cloudformation:ExecuteChangeSet":    (*Server).executeChangeSet,
	"cloudformation:DeleteChangeSet":     (*Server).deleteChangeSet,
	"cloudformation:DescribeStacks":      (*Server).describeStacks,
	"cloudformation:DescribeStackEvents": (*Server).describeStackEvents,
	"cloudformation:GetTemplate":         (*Server).getTemplate,
	"cloudformation:DeleteStack":         (*Server).deleteStack,
}

// id returns a new id of 17 hexadecimal digits, in the order in which they are asked for.
func (s *Server) id() string {
	s.serial++
	return fmt.Sprintf("0%016x", 0x5a1d0000+s.serial)
}
