package lifecycle

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"

	"squidfleet/internal/awsapi"
)

func (s *Server) getCallerIdentity(r *request) (any, error) {
	arn := fmt.Sprintf("arn:%s:iam::%s:user/%s", partition, Account, r.principal)
	return object{"Arn": arn, "UserId": "AIDACKCEVSQ6C2EXAMPLE", "Account": Account}, nil
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
	until := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	return object{"Credentials": object{
		"AccessKeyId": key, "SecretAccessKey": "secret-" + id, "SessionToken": token, "Expiration": until,
	}}, nil
}

func (s *Server) getParameter(r *request) (any, error) {
	name := r.Text("Name")
	stored := s.find("AWS::SSM::Parameter", name)
	if stored == nil {
		return nil, awsapi.Refuse("ParameterNotFound", "Parameter %s not found.", name)
	}
	return object{"Parameter": object{"Name": name, "Type": "String", "Value": stored.properties["Value"]}}, nil
}

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
		rule := object{"ApplyServerSideEncryptionByDefault": object{"SSEAlgorithm": "AES256"}}
		return awsapi.Element{Name: "ServerSideEncryptionConfiguration", Value: object{"Rule": rule}}, nil
	case get && query.Get("list-type") == "2":
		var found []object
		for _, path := range slices.Sorted(maps.Keys(s.objects)) {
			if key, in := strings.CutPrefix(path, name+"/"); in && strings.HasPrefix(key, query.Get("prefix")) {
				found = append(found, object{"Key": key, "Size": len(s.objects[path])})
			}
		}
		return awsapi.Element{Name: "ListBucketResult", Value: object{"Contents": found}}, nil
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
	var found []object
	for _, name := range listOf(r.Input["repositoryNames"]) {
		if err := s.repository(fmt.Sprint(name)); err != nil {
			return nil, err
		}
		uri := fmt.Sprintf("%s/%s", s.registry.Listener.Addr(), name)
		found = append(found, object{"repositoryName": name, "repositoryUri": uri})
	}
	return object{"repositories": found}, nil
}

func (s *Server) describeImages(r *request) (any, error) {
	repository := r.Text("repositoryName")
	if err := s.repository(repository); err != nil {
		return nil, err
	}
	var images []object
	for _, id := range listOf(r.Input["imageIds"]) {
		image, _ := id.(object)
		tag := fmt.Sprint(image["imageTag"])
		_, digest, found := s.inRegistry(repository, "manifests", tag)
		if !found {
			return nil, awsapi.Refuse("ImageNotFoundException", "The image %s does not exist in %s", tag, repository)
		}
		images = append(images,
			object{"repositoryName": repository, "imageDigest": digest, "imageTags": []string{tag}})
	}
	return object{"imageDetails": images}, nil
}

func (s *Server) getAuthorizationToken(r *request) (any, error) {
	return object{"authorizationData": []object{{
		"authorizationToken": base64.StdEncoding.EncodeToString([]byte(registryUser + ":" + registryPassword)),
		"proxyEndpoint":      s.registry.URL,
		"expiresAt":          time.Now().Add(12 * time.Hour).Unix(),
	}}}, nil
}
