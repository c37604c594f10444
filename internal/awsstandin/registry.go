package awsstandin

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"

	"squidfleet/internal/awsapi"
)

// registryServer is a container registry that keeps images in memory and wants a login.
type registryServer struct {
	address string
	server  *http.Server
	handler http.Handler
}

// The login that ECR hands out.
const registryUser, registryPassword = "AWS", "token-of-the-registry"

func startRegistry() (*registryServer, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	images := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	guarded := http.HandlerFunc(func(w http.ResponseWriter, hr *http.Request) {
		if user, password, _ := hr.BasicAuth(); user != registryUser || password != registryPassword {
			w.Header().Set("WWW-Authenticate", `Basic realm="stand-in"`)
			http.Error(w, "no login", http.StatusUnauthorized)
			return
		}
		images.ServeHTTP(w, hr)
	})
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: guarded}
	r := &registryServer{listener.Addr().String(), server, images}
	go r.server.Serve(listener)
	return r, nil
}

// get asks the registry itself, without a login; path is below the repository.
func (r *registryServer) get(repository, path string) (body []byte, header http.Header, found bool) {
	response := httptest.NewRecorder()
	r.handler.ServeHTTP(response,
		httptest.NewRequest(http.MethodGet, fmt.Sprintf("/v2/%s/%s", repository, path), nil))
	return response.Body.Bytes(), response.Header(), response.Code == http.StatusOK
}

// digest returns the digest of a tagged image, "" where there is none.
func (r *registryServer) digest(repository, tag string) string {
	_, header, found := r.get(repository, "manifests/"+tag)
	if !found {
		return ""
	}
	return header.Get("Docker-Content-Digest")
}

// ImageConfig returns the configuration of the image that a task definition names, in the form of
// the OCI image specification.
func (s *Server) ImageConfig(uri string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.checkImage(uri); err != nil {
		return nil, err
	}
	_, path, _ := strings.Cut(uri, "/")
	repository, tag, _ := strings.Cut(path, ":")
	manifest, _, _ := s.registry.get(repository, "manifests/"+tag)
	var parsed struct{ Config struct{ Digest string } }
	if err := json.Unmarshal(manifest, &parsed); err != nil {
		return nil, err
	}
	config, _, found := s.registry.get(repository, "blobs/"+parsed.Config.Digest)
	if !found {
		return nil, fmt.Errorf("%s: the registry lacks its configuration", uri)
	}
	return config, nil
}

func (s *Server) describeRepositories(r *request) (any, error) {
	var found []map[string]any
	for _, name := range r.texts("repositoryNames") {
		if err := s.repository(name); err != nil {
			return nil, err
		}
		found = append(found, map[string]any{"repositoryName": name, "repositoryUri": s.Registry + "/" + name})
	}
	return map[string]any{"repositories": found}, nil
}

func (s *Server) describeImages(r *request) (any, error) {
	repository := r.text("repositoryName")
	if err := s.repository(repository); err != nil {
		return nil, err
	}
	r.read["imageIds"] = true
	var found []map[string]any
	ids, _ := r.Input["imageIds"].([]any)
	for _, id := range ids {
		image, _ := id.(map[string]any)
		tag := fmt.Sprint(image["imageTag"])
		digest := s.registry.digest(repository, tag)
		if digest == "" {
			return nil, awsapi.Refuse("ImageNotFoundException", "The image with the tag %s does not exist in %s", tag,
				repository)
		}
		found = append(found,
			map[string]any{"repositoryName": repository, "imageDigest": digest, "imageTags": []string{tag}})
	}
	return map[string]any{"imageDetails": found}, nil
}

func (s *Server) getAuthorizationToken(r *request) (any, error) {
	return map[string]any{"authorizationData": []map[string]any{{
		"authorizationToken": base64.StdEncoding.EncodeToString([]byte(registryUser + ":" + registryPassword)),
		"proxyEndpoint":      "http://" + s.Registry,
		"expiresAt":          time.Now().Add(12 * time.Hour).Unix(),
	}}}, nil
}

// repository refuses a repository that no stack has made.
func (s *Server) repository(name string) error {
	if s.find("AWS::ECR::Repository", name) == nil {
		return awsapi.Refuse("RepositoryNotFoundException", "The repository with name '%s' does not exist", name)
	}
	return nil
}

// checkImage returns an error if ECS could not start a task with an image.
func (s *Server) checkImage(uri string) error {
	path, found := strings.CutPrefix(uri, fmt.Sprintf("%s.dkr.ecr.%s.amazonaws.com/", Account, Region))
	repository, tag, tagged := strings.Cut(path, ":")
	if !found || !tagged || s.repository(repository) != nil || s.registry.digest(repository, tag) == "" {
		return fmt.Errorf("CannotPullContainerError: %s: not found", uri)
	}
	return nil
}
