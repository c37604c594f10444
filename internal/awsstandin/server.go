package awsstandin

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"runtime/debug"
	"strings"
	"sync"
	"time"

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
	failures    []failure
}

// credential is one that the stand-in accepts.
type credential struct{ secret, token, principal string }

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
		credentials: map[string]credential{userKey: {secret: userSecret, principal: User}},
		buckets:     map[string]map[string][]byte{},
	}
	var err error
	if s.registry, err = startRegistry(); err != nil {
		return nil, err
	}
	s.Registry = s.registry.address
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, s.registry.Close())
	}
	s.URL = "http://" + listener.Addr().String()
	s.api = &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	go s.api.Serve(listener)
	return s, nil
}

// Close ends both listeners and the connections to them.
func (s *Server) Close() error { return errors.Join(s.api.Close(), s.registry.Close()) }

// Environment points an AWS SDK at the stand-in and gives it credentials. home keeps it from the configuration of the machine's user: nothing in it needs to exist.
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

// request is one call.
type request struct {
	service, action, principal string
	http                       *http.Request
	arguments                  map[string]any // of the query and JSON protocols
	read                       map[string]bool
	body                       []byte // of S3
}

// text returns an argument, "" when it is not given.
func (r *request) text(name string) string {
	r.read[name] = true
	switch value := r.arguments[name].(type) {
	case nil:
		return ""
	case string:
		return value
	default:
		return fmt.Sprint(value)
	}
}

// flag returns an argument that is true or false.
func (r *request) flag(name string) bool { return r.text(name) == "true" }

// list returns the elements of a list in the query protocol: of each the value itself, under "", or its fields.
func (r *request) list(name string) []map[string]string {
	var all []map[string]string
	for i := 1; ; i++ {
		prefix := fmt.Sprintf("%s.member.%d", name, i)
		one := map[string]string{}
		for key, value := range r.arguments {
			if rest, found := strings.CutPrefix(key, prefix); found && (rest == "" || rest[0] == '.') {
				r.read[key] = true
				one[strings.TrimPrefix(rest, ".")] = fmt.Sprint(value)
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

// indifferent marks arguments that change nothing here.
func (r *request) indifferent(names ...string) {
	for _, name := range names {
		r.read[name] = true
	}
}

// apiError is an error as AWS tells it.
type apiError struct {
	code, message string
	status        int
}

func (e *apiError) Error() string { return e.code + ": " + e.message }

func invalid(format string, arguments ...any) error {
	return &apiError{"ValidationError", fmt.Sprintf(format, arguments...), http.StatusBadRequest}
}

var scope = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=([^/]+)/\d{8}/([^/]+)/([^/]+)/aws4_request, ?SignedHeaders=([^,]+), ?Signature=[0-9a-f]{64}$`)

// ServeHTTP answers one call of any service.
func (s *Server) ServeHTTP(w http.ResponseWriter, hr *http.Request) {
	r := &request{http: hr, read: map[string]bool{}, arguments: map[string]any{}}
	result, err := s.answerOrPanic(r)
	s.mu.Lock()
	call := Call{Service: r.service, Action: r.action, Principal: r.principal}
	var refused *apiError
	if errors.As(err, &refused) {
		call.Error = refused.code
	} else if err != nil {
		refused = &apiError{"InternalFailure", err.Error(), http.StatusBadRequest}
		call.Error, call.Unanswered = refused.Error(), true
	}
	if call.Error == unknownCall || call.Error == unsigned {
		call.Unanswered = true
	}
	if err == nil {
		for name := range r.arguments {
			if !r.read[name] {
				call.Ignored = append(call.Ignored, name)
			}
		}
	}
	s.calls = append(s.calls, call)
	s.mu.Unlock()
	if err != nil {
		writeError(w, r, refused)
		return
	}
	writeResult(w, r, result)
}

const (
	// unknownCall is the error of a call, or of what it asks for, that the stand-in has no answer to.
	unknownCall = "NotInTheStandIn"
	// unsigned is the error of a call that has no signature: the CLI makes none.
	unsigned = "MissingAuthenticationToken"
)

func unknown(format string, arguments ...any) error {
	return &apiError{unknownCall, fmt.Sprintf(format, arguments...) + " is not part of the stand-in", http.StatusBadRequest}
}

// answerOrPanic is answer, with a defect of the stand-in's own as an error, so that the call is recorded and the test fails.
func (s *Server) answerOrPanic(r *request) (result any, err error) {
	defer func() {
		if defect := recover(); defect != nil {
			err = fmt.Errorf("the stand-in failed: %v\n%s", defect, debug.Stack())
		}
	}()
	return s.answer(r)
}

// answer reads a call and has it handled.
func (s *Server) answer(r *request) (any, error) {
	// Reading is done outside of the lock.
	form := scope.FindStringSubmatch(r.http.Header.Get("Authorization"))
	if form == nil {
		r.service, r.action = "?", r.http.Method+" "+r.http.URL.Path
		return nil, &apiError{unsigned, "the call is not signed", http.StatusForbidden}
	}
	key, region := form[1], form[2]
	r.service = form[3]
	if err := r.readArguments(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	known, found := s.credentials[key]
	if !found || r.http.Header.Get("X-Amz-Security-Token") != known.token {
		return nil, &apiError{"InvalidClientTokenId", "the security token included in the request is invalid", http.StatusForbidden}
	}
	r.principal = known.principal
	if region != Region {
		return nil, &apiError{"SignatureDoesNotMatch", "the call is signed for " + region, http.StatusForbidden}
	}
	handle := handlers[r.service+":"+r.action]
	if handle == nil {
		return nil, unknown("%s:%s", r.service, r.action)
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

	"cloudformation:CreateChangeSet":             (*Server).createChangeSet,
	"cloudformation:DescribeChangeSet":           (*Server).describeChangeSet,
	"cloudformation:ExecuteChangeSet":            (*Server).executeChangeSet,
	"cloudformation:DeleteChangeSet":             (*Server).deleteChangeSet,
	"cloudformation:DescribeStacks":              (*Server).describeStacks,
	"cloudformation:DescribeStackEvents":         (*Server).describeStackEvents,
	"cloudformation:DescribeEvents":              (*Server).describeEvents,
	"cloudformation:ListHookResults":             (*Server).listHookResults,
	"cloudformation:GetTemplate":                 (*Server).getTemplate,
	"cloudformation:DeleteStack":                 (*Server).deleteStack,
	"cloudformation:DescribeStackResources":      (*Server).describeStackResources,
	"cloudtrail:LookupEvents":                    (*Server).lookupEvents,
	"ecs:DescribeServices":                       (*Server).describeServices,
	"ecs:ListTasks":                              (*Server).listTasks,
	"ecs:DescribeTaskDefinition":                 (*Server).describeTaskDefinition,
	"logs:FilterLogEvents":                       (*Server).filterLogEvents,
	"cloudformation:UpdateTerminationProtection": (*Server).updateTerminationProtection,
}

// id returns a new id of 17 hexadecimal digits, in the order in which they are asked for.
func (s *Server) id() string {
	s.serial++
	return fmt.Sprintf("0%016x", 0x5a1d0000+s.serial)
}

// query reads the arguments of a form.
func query(values url.Values) map[string]any {
	arguments := map[string]any{}
	for name, value := range values {
		arguments[name] = value[0]
	}
	return arguments
}
