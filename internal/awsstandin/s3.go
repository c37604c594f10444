package awsstandin

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
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
	name, key, _ := strings.Cut(strings.TrimPrefix(r.http.URL.Path, "/"), "/")
	if owner := r.http.Header.Get("X-Amz-Expected-Bucket-Owner"); owner != "" && owner != Account {
		return nil, "", &apiError{"AccessDenied", "the bucket is not " + owner + "'s", http.StatusForbidden}
	}
	if s.find("AWS::S3::Bucket", name) == nil {
		return nil, "", &apiError{"NoSuchBucket", "The specified bucket does not exist", http.StatusNotFound}
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
	return element{"LocationConstraint", Region}, nil
}

func (s *Server) getBucketEncryption(r *request) (any, error) {
	r.indifferent("encryption")
	if _, _, err := s.bucket(r); err != nil {
		return nil, err
	}
	type rule struct {
		SSEAlgorithm string `xml:"ApplyServerSideEncryptionByDefault>SSEAlgorithm"`
	}
	return element{"ServerSideEncryptionConfiguration", struct{ Rule []rule }{[]rule{{"AES256"}}}}, nil
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
	return element{"ListBucketResult", struct {
		KeyCount int
		Contents []object
	}{len(found), found}}, nil
}

func (s *Server) putObject(r *request) (any, error) {
	objects, key, err := s.bucket(r)
	if err != nil {
		return nil, err
	}
	objects[key] = r.body
	return nil, nil
}

// object reads what a template's URL names.
func (s *Server) object(location string) ([]byte, error) {
	for _, prefix := range []string{s.URL + "/", fmt.Sprintf("https://s3.%s.amazonaws.com/", Region)} {
		path, found := strings.CutPrefix(location, prefix)
		if !found {
			continue
		}
		bucket, key, _ := strings.Cut(path, "/")
		if content, found := s.buckets[bucket][key]; found {
			return content, nil
		}
		return nil, &apiError{"ValidationError", "S3 error: Access Denied", http.StatusBadRequest}
	}
	// https://BUCKET.s3.REGION.amazonaws.com/KEY
	if rest, found := strings.CutPrefix(location, "https://"); found {
		bucket, key, found := strings.Cut(rest, fmt.Sprintf(".s3.%s.amazonaws.com/", Region))
		if content, there := s.buckets[bucket][key]; found && there {
			return content, nil
		}
	}
	return nil, invalid("TemplateURL must reference a valid S3 object to which you have access: %s", location)
}
