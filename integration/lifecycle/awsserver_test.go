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
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"

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

type request struct {
	*awsapi.Request
	principal string
}

// list returns the elements of a list in the query protocol, each by its fields.
func (r *request) list(name string) []map[string]string {
	var all []map[string]string
	for i := 1; ; i++ {
		one := map[string]string{}
		for key, value := range r.Input {
			if field, found := strings.CutPrefix(key, fmt.Sprintf("%s.member.%d.", name, i)); found {
				one[field] = fmt.Sprint(value)
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

// STS and SSM.

func (s *Server) getCallerIdentity(r *request) (any, error) {
	arn := fmt.Sprintf("arn:%s:iam::%s:user/%s", partition, Account, r.principal)
	return struct{ Arn, UserId, Account string }{arn, "AIDACKCEVSQ6C2EXAMPLE", Account}, nil
}

// assumeRole hands out credentials of a role that a stack has made.
func (s *Server) assumeRole(r *request) (any, error) {
	arn := r.Text("RoleArn")
	name := strings.TrimPrefix(arn, fmt.Sprintf("arn:%s:iam::%s:role/", partition, Account))
	if s.find("AWS::IAM::Role", name) == nil {
		return nil, awsapi.Refuse("AccessDenied", "not authorized to perform: sts:AssumeRole on resource: %s", arn)
	}
	id := s.id()
	key, token := "ASIA"+strings.ToUpper(id[1:]), "token-"+id
	s.credentials[key] = credential{token, name}
	type credentials struct{ AccessKeyId, SecretAccessKey, SessionToken, Expiration string }
	until := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	return struct{ Credentials credentials }{credentials{key, "secret-" + id, token, until}}, nil
}

func (s *Server) getParameter(r *request) (any, error) {
	name := r.Text("Name")
	stored := s.find("AWS::SSM::Parameter", name)
	if stored == nil {
		return nil, awsapi.Refuse("ParameterNotFound", "Parameter %s not found.", name)
	}
	value := map[string]any{"Name": name, "Type": "String", "Value": stored.properties["Value"]}
	return map[string]any{"Parameter": value}, nil
}

// S3.

// s3 answers a path-style request for a bucket that a stack has made.
func (s *Server) s3(r *request) (any, error) {
	path := strings.TrimPrefix(r.HTTP.URL.Path, "/")
	name, key, _ := strings.Cut(path, "/")
	if s.find("AWS::S3::Bucket", name) == nil {
		return nil, &awsapi.Error{Code: "NoSuchBucket", Message: "The specified bucket does not exist", Status: 404}
	}
	get, query := r.HTTP.Method == http.MethodGet && key == "", r.HTTP.URL.Query()
	chunked := strings.Contains(r.HTTP.Header.Get("Content-Encoding"), "aws-chunked") // not read here
	switch {
	case get && query.Has("location"):
		return awsapi.Element{Name: "LocationConstraint", Value: Region}, nil
	case get && query.Has("encryption"):
		type rule struct {
			SSEAlgorithm string `xml:"ApplyServerSideEncryptionByDefault>SSEAlgorithm"`
		}
		encryption := struct{ Rule []rule }{[]rule{{"AES256"}}}
		return awsapi.Element{Name: "ServerSideEncryptionConfiguration", Value: encryption}, nil
	case get && query.Get("list-type") == "2":
		type object struct {
			Key  string
			Size int
		}
		var found struct{ Contents []object }
		for _, path := range slices.Sorted(maps.Keys(s.objects)) {
			if key, in := strings.CutPrefix(path, name+"/"); in && strings.HasPrefix(key, query.Get("prefix")) {
				found.Contents = append(found.Contents, object{key, len(s.objects[path])})
			}
		}
		return awsapi.Element{Name: "ListBucketResult", Value: found}, nil
	case r.HTTP.Method == http.MethodPut && key != "" && !query.Has("partNumber") && !chunked:
		s.objects[path] = r.Body
		return nil, nil
	}
	return nil, errNotPart
}

// object reads what a template's URL names.
func (s *Server) object(location string) ([]byte, error) {
	for _, prefix := range []string{s.api.URL + "/", fmt.Sprintf("https://s3.%s.amazonaws.com/", Region)} {
		if path, found := strings.CutPrefix(location, prefix); found && s.objects[path] != nil {
			return s.objects[path], nil
		}
	}
	return nil, invalid("TemplateURL must reference a valid S3 object to which you have access: %s", location)
}

// ECR.

// The login that ECR hands out.
const registryUser, registryPassword = "AWS", "token-of-the-registry"

// startRegistry starts a container registry that keeps images in memory and wants a login.
func (s *Server) startRegistry() {
	s.images = registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	s.registry = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, hr *http.Request) {
		if user, password, _ := hr.BasicAuth(); user != registryUser || password != registryPassword {
			w.Header().Set("WWW-Authenticate", `Basic realm="stand-in"`)
			http.Error(w, "no login", http.StatusUnauthorized)
			return
		}
		s.images.ServeHTTP(w, hr)
	}))
}

// inRegistry asks the registry itself, without a login, for a manifest or a blob of a repository.
func (s *Server) inRegistry(repository, kind, name string) (body []byte, digest string, found bool) {
	response := httptest.NewRecorder()
	path := fmt.Sprintf("/v2/%s/%s/%s", repository, kind, name)
	s.images.ServeHTTP(response, httptest.NewRequest(http.MethodGet, path, nil))
	digest = response.Header().Get("Docker-Content-Digest")
	return response.Body.Bytes(), digest, response.Code == http.StatusOK
}

// ImageConfig returns the configuration of a task definition's image, as OCI specifies it.
func (s *Server) ImageConfig(uri string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path, found := strings.CutPrefix(uri, fmt.Sprintf("%s.dkr.ecr.%s.amazonaws.com/", Account, Region))
	repository, tag, tagged := strings.Cut(path, ":")
	if !found || !tagged || s.repository(repository) != nil {
		return nil, fmt.Errorf("%s is in no repository", uri)
	}
	var manifest struct{ Config struct{ Digest string } }
	body, _, found := s.inRegistry(repository, "manifests", tag)
	if found {
		if err := json.Unmarshal(body, &manifest); err != nil {
			return nil, err
		}
		body, _, found = s.inRegistry(repository, "blobs", manifest.Config.Digest)
	}
	if !found {
		return nil, fmt.Errorf("the registry lacks %s", uri)
	}
	return body, nil
}

// repository refuses a repository that no stack has made.
func (s *Server) repository(name string) error {
	if s.find("AWS::ECR::Repository", name) == nil {
		return awsapi.Refuse("RepositoryNotFoundException", "The repository with name '%s' does not exist", name)
	}
	return nil
}

func (s *Server) describeRepositories(r *request) (any, error) {
	var found []map[string]any
	for _, name := range listOf(r.Input["repositoryNames"]) {
		if err := s.repository(fmt.Sprint(name)); err != nil {
			return nil, err
		}
		uri := fmt.Sprintf("%s/%s", s.registry.Listener.Addr(), name)
		found = append(found, map[string]any{"repositoryName": name, "repositoryUri": uri})
	}
	return map[string]any{"repositories": found}, nil
}

func (s *Server) describeImages(r *request) (any, error) {
	repository := r.Text("repositoryName")
	if err := s.repository(repository); err != nil {
		return nil, err
	}
	var images []map[string]any
	for _, id := range listOf(r.Input["imageIds"]) {
		image, _ := id.(map[string]any)
		tag := fmt.Sprint(image["imageTag"])
		_, digest, found := s.inRegistry(repository, "manifests", tag)
		if !found {
			return nil, awsapi.Refuse("ImageNotFoundException", "The image %s does not exist in %s", tag, repository)
		}
		images = append(images,
			map[string]any{"repositoryName": repository, "imageDigest": digest, "imageTags": []string{tag}})
	}
	return map[string]any{"imageDetails": images}, nil
}

func (s *Server) getAuthorizationToken(r *request) (any, error) {
	return map[string]any{"authorizationData": []map[string]any{{
		"authorizationToken": base64.StdEncoding.EncodeToString([]byte(registryUser + ":" + registryPassword)),
		"proxyEndpoint":      s.registry.URL,
		"expiresAt":          time.Now().Add(12 * time.Hour).Unix(),
	}}}, nil
}
