package awsstandin

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"squidfleet/internal/awsapi"
	"squidfleet/internal/cfnspec"
)

// Where everything is.
const (
	Account   = "123456789012"
	Region    = "eu-west-1"
	partition = "aws"
)

// Server is the stand-in. Start makes one.
type Server struct {
	// URL is the endpoint of every service.
	URL string
	// Registry is the host and port of the container registry.
	Registry string

	spec     cfnspec.Spec
	api      *http.Server
	registry *registryServer

	mu          sync.Mutex
	calls       []Call
	credentials map[string]credential // by access key
	buckets     map[string]map[string][]byte
	stacks      []*stack // in the order they were made; deleted ones stay
	serial      int      // makes ids unique
}

// credential is one that the stand-in accepts.
type credential struct{ token, principal string }

// Call is one call that reached the stand-in.
type Call struct {
	Service, Action string
	// Principal is who called: User, or the name of a role.
	Principal string
	// Unanswered says why the stand-in had no answer, Ignored names arguments it did not look at.
	// In both cases the caller was told nothing that AWS would say.
	Unanswered string
	Ignored    []string
}

// The credentials of a person who may assume the CDK's roles.
const (
	userKey    = "AKIAIOSFODNN7EXAMPLE"
	userSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	// User is that person, as a call's principal.
	User = "user"
)

// Start serves on loopback until Close.
func Start(spec cfnspec.Spec) (*Server, error) {
	s := &Server{
		spec:        spec,
		credentials: map[string]credential{userKey: {principal: User}},
		buckets:     map[string]map[string][]byte{},
	}
	var err error
	if s.registry, err = startRegistry(); err != nil {
		return nil, err
	}
	s.Registry = s.registry.address
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, s.registry.server.Close())
	}
	s.URL = "http://" + listener.Addr().String()
	s.api = &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	go s.api.Serve(listener)
	return s, nil
}

// Close ends both listeners and the connections to them.
func (s *Server) Close() error { return errors.Join(s.api.Close(), s.registry.server.Close()) }

// Environment points an AWS SDK at the stand-in and gives it credentials. home keeps it from the
// configuration of the machine's user; no file in it needs to exist.
func (s *Server) Environment(home string) []string {
	return []string{
		"AWS_ENDPOINT_URL=" + s.URL,
		"AWS_ACCESS_KEY_ID=" + userKey,
		"AWS_SECRET_ACCESS_KEY=" + userSecret,
		"AWS_REGION=" + Region,
		"AWS_CONFIG_FILE=" + home + "/aws-config",
		"AWS_SHARED_CREDENTIALS_FILE=" + home + "/aws-credentials",
		"AWS_EC2_METADATA_DISABLED=true",
		"HOME=" + home,
	}
}

// Calls returns the calls so far.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// Unanswered names each kind of call, and each argument, that the stand-in does not know.
func (s *Server) Unanswered() []string {
	found := map[string]bool{}
	for _, call := range s.Calls() {
		name := call.Service + ":" + call.Action
		if call.Unanswered != "" {
			found[name+" ("+call.Unanswered+")"] = true
		}
		for _, argument := range call.Ignored {
			found[name+" with "+argument] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// request is a call that notes which arguments are looked at.
type request struct {
	*awsapi.Request
	principal string
	read      map[string]bool
}

// text returns an argument, "" when it is not given.
func (r *request) text(name string) string {
	r.read[name] = true
	return r.Text(name)
}

// list returns the elements of a list in the query protocol: of each the value itself, under "", or
// its fields.
func (r *request) list(name string) []map[string]string {
	var all []map[string]string
	for i := 1; ; i++ {
		prefix := fmt.Sprintf("%s.member.%d", name, i)
		one := map[string]string{}
		for key := range r.Input {
			if rest, found := strings.CutPrefix(key, prefix); found && (rest == "" || rest[0] == '.') {
				one[strings.TrimPrefix(rest, ".")] = r.text(key)
			}
		}
		if len(one) == 0 {
			// An empty list is sent as the name alone.
			r.read[name] = true
			return all
		}
		all = append(all, one)
	}
}

// texts returns a list of JSON's.
func (r *request) texts(name string) []string {
	r.read[name] = true
	list, _ := r.Input[name].([]any)
	var all []string
	for _, one := range list {
		all = append(all, fmt.Sprint(one))
	}
	return all
}

// indifferent marks arguments that change nothing here.
func (r *request) indifferent(names ...string) {
	for _, name := range names {
		r.read[name] = true
	}
}

func invalid(format string, arguments ...any) error {
	return awsapi.Refuse("ValidationError", format, arguments...)
}

// ServeHTTP answers one call of any service.
func (s *Server) ServeHTTP(w http.ResponseWriter, hr *http.Request) {
	read, err := awsapi.Read(hr)
	r := &request{Request: read, read: map[string]bool{}}
	s.mu.Lock()
	var result any
	unsigned := err != nil
	if err == nil {
		result, err = s.answer(r)
	}
	call := Call{Service: r.Service, Action: r.Action, Principal: r.principal}
	var refused *awsapi.Error
	if err != nil && (!errors.As(err, &refused) || unsigned) {
		call.Unanswered = err.Error()
	}
	if refused == nil && err != nil {
		refused = &awsapi.Error{Code: "InternalFailure", Message: err.Error()}
	}
	if err == nil {
		for name := range r.Input {
			if !r.read[name] {
				call.Ignored = append(call.Ignored, name)
			}
		}
	}
	s.calls = append(s.calls, call)
	s.mu.Unlock()
	if refused != nil {
		r.WriteError(w, refused)
		return
	}
	r.Write(w, result)
}

// answer handles a call. A defect of the stand-in's own is an error, so that the call is recorded
// and the test fails. The server's lock is held.
func (s *Server) answer(r *request) (result any, err error) {
	defer func() {
		if defect := recover(); defect != nil {
			err = fmt.Errorf("the stand-in failed: %v\n%s", defect, debug.Stack())
		}
	}()
	if r.Service == "s3" {
		r.Action = s3Action(r.HTTP)
		// The SDK's name of the operation, which means nothing to the service.
		r.indifferent("x-id")
	}
	known, found := s.credentials[r.AccessKey]
	if !found || r.Token != known.token || r.Region != Region {
		return nil, awsapi.Refuse("InvalidClientTokenId", "the security token included in the request is invalid")
	}
	r.principal = known.principal
	handle := handlers[r.Service+":"+r.Action]
	if handle == nil {
		return nil, fmt.Errorf("not part of the stand-in")
	}
	return handle(s, r)
}

// handlers are the calls that are answered. Each runs under the server's lock.
var handlers = map[string]func(*Server, *request) (any, error){
	"sts:GetCallerIdentity": (*Server).getCallerIdentity,
	"sts:AssumeRole":        (*Server).assumeRole,

	"ssm:GetParameter": (*Server).getParameter,

	"ecr:DescribeRepositories":  (*Server).describeRepositories,
	"ecr:DescribeImages":        (*Server).describeImages,
	"ecr:GetAuthorizationToken": (*Server).getAuthorizationToken,

	"s3:GetBucketLocation":   (*Server).getBucketLocation,
	"s3:GetBucketEncryption": (*Server).getBucketEncryption,
	"s3:ListObjectsV2":       (*Server).listObjects,
	"s3:PutObject":           (*Server).putObject,

	"cloudformation:CreateChangeSet":     (*Server).createChangeSet,
	"cloudformation:DescribeChangeSet":   (*Server).describeChangeSet,
	"cloudformation:ExecuteChangeSet":    (*Server).executeChangeSet,
	"cloudformation:DeleteChangeSet":     (*Server).deleteChangeSet,
	"cloudformation:DescribeStacks":      (*Server).describeStacks,
	"cloudformation:DescribeStackEvents": (*Server).describeStackEvents,
	"cloudformation:GetTemplate":         (*Server).getTemplate,
	"cloudformation:DeleteStack":         (*Server).deleteStack,
	// What validation before deployment, and the account's hooks, have found: nothing.
	"cloudformation:DescribeEvents":              nothing("StackName", "ChangeSetName", "Filters.FailedEvents"),
	"cloudformation:ListHookResults":             nothing("TargetType", "TargetId", "Status"),
	"cloudformation:UpdateTerminationProtection": nothing("StackName", "EnableTerminationProtection"),
}

func nothing(arguments ...string) func(*Server, *request) (any, error) {
	return func(_ *Server, r *request) (any, error) {
		r.indifferent(arguments...)
		return nil, nil
	}
}

// id returns a new id of 17 hexadecimal digits, in the order in which they are asked for.
func (s *Server) id() string {
	s.serial++
	return fmt.Sprintf("0%016x", 0x5a1d0000+s.serial)
}
