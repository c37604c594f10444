package awsstandin

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"squidfleet/internal/awsapi"
)

// s3Action names the operation that a path-style request asks for.
func s3Action(hr *http.Request) string {
	_, key, hasKey := strings.Cut(strings.TrimPrefix(hr.URL.Path, "/"), "/")
	hasKey = hasKey && key != ""
	values := hr.URL.Query()
	switch {
	case hr.Method == http.MethodGet && !hasKey && values.Has("location"):
		return "GetBucketLocation"
	case hr.Method == http.MethodGet && !hasKey && values.Has("encryption"):
		return "GetBucketEncryption"
	case hr.Method == http.MethodGet && !hasKey && values.Get("list-type") == "2":
		return "ListObjectsV2"
	case hr.Method == http.MethodPut && hasKey && !values.Has("partNumber"):
		return "PutObject"
	}
	return hr.Method + " " + hr.URL.Path + "?" + hr.URL.RawQuery
}

// bucket returns the content of a bucket that a stack has made, and the key that the request names.
func (s *Server) bucket(r *request) (objects map[string][]byte, key string, err error) {
	name, key, _ := strings.Cut(strings.TrimPrefix(r.HTTP.URL.Path, "/"), "/")
	if owner := r.HTTP.Header.Get("X-Amz-Expected-Bucket-Owner"); owner != "" && owner != Account {
		return nil, "", &awsapi.Error{Code: "AccessDenied", Message: "the bucket is not " + owner + "'s", Status: 403}
	}
	if s.find("AWS::S3::Bucket", name) == nil {
		return nil, "", &awsapi.Error{
			Code: "NoSuchBucket", Message: "The specified bucket does not exist", Status: 404,
		}
	}
	if s.buckets[name] == nil {
		s.buckets[name] = map[string][]byte{}
	}
	return s.buckets[name], key, nil
}

func (s *Server) getBucketLocation(r *request) (any, error) {
	r.indifferent("location")
	if _, _, err := s.bucket(r); err != nil {
		return nil, err
	}
	return awsapi.Element{Name: "LocationConstraint", Value: Region}, nil
}

func (s *Server) getBucketEncryption(r *request) (any, error) {
	r.indifferent("encryption")
	if _, _, err := s.bucket(r); err != nil {
		return nil, err
	}
	type rule struct {
		SSEAlgorithm string `xml:"ApplyServerSideEncryptionByDefault>SSEAlgorithm"`
	}
	return awsapi.Element{
		Name: "ServerSideEncryptionConfiguration", Value: struct{ Rule []rule }{[]rule{{"AES256"}}},
	}, nil
}

func (s *Server) listObjects(r *request) (any, error) {
	r.indifferent("list-type", "max-keys")
	objects, _, err := s.bucket(r)
	if err != nil {
		return nil, err
	}
	type object struct {
		Key  string
		Size int
	}
	prefix := r.text("prefix")
	var found []object
	for _, key := range slices.Sorted(maps.Keys(objects)) {
		if strings.HasPrefix(key, prefix) {
			found = append(found, object{key, len(objects[key])})
		}
	}
	return awsapi.Element{Name: "ListBucketResult", Value: struct {
		KeyCount int
		Contents []object
	}{len(found), found}}, nil
}

func (s *Server) putObject(r *request) (any, error) {
	objects, key, err := s.bucket(r)
	if err != nil {
		return nil, err
	}
	objects[key], err = s3Body(r.HTTP, r.Body)
	return nil, err
}

// object reads what a template's URL names.
func (s *Server) object(location string) ([]byte, error) {
	for _, prefix := range []string{s.URL + "/", fmt.Sprintf("https://s3.%s.amazonaws.com/", Region)} {
		if path, found := strings.CutPrefix(location, prefix); found {
			bucket, key, _ := strings.Cut(path, "/")
			if content, found := s.buckets[bucket][key]; found {
				return content, nil
			}
		}
	}
	return nil, invalid("TemplateURL must reference a valid S3 object to which you have access: %s", location)
}

// s3Body takes the content out of its chunks: an upload of unknown checksum has its checksum at its
// end.
func s3Body(hr *http.Request, body []byte) ([]byte, error) {
	if !strings.Contains(hr.Header.Get("Content-Encoding"), "aws-chunked") {
		return body, nil
	}
	var content []byte
	for {
		line, rest, found := bytes.Cut(body, []byte("\r\n"))
		size, _, _ := strings.Cut(string(line), ";")
		length, err := strconv.ParseUint(size, 16, 31)
		if !found || err != nil || uint64(len(rest)) < length {
			return nil, fmt.Errorf("chunk %q of %s does not hold what it says", line, hr.URL.Path)
		}
		if length == 0 {
			return content, nil
		}
		content = append(content, rest[:length]...)
		body = bytes.TrimPrefix(rest[length:], []byte("\r\n"))
	}
}
