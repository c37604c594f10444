// Package awsapi speaks the server's side of AWS's protocols, for the project's stand-ins: it reads
// a signed call and writes its answer or its error.
package awsapi

import (
	"bytes"
	"cmp"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/smithy-go/encoding/cbor"
)

// protocol is how a service is called and answers.
type protocol int

const (
	query protocol = iota + 1 // a form, answered with XML
	ec2                       // the same, with errors and results of its own form
	jsonRPC
	rest    // S3's
	restXML // Route 53's
	rpcCBOR // CloudWatch's: https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html
)

var protocols = map[string]protocol{
	"acm": jsonRPC, "cloudformation": query, "ec2": ec2, "ecr": jsonRPC, "ecs": jsonRPC, "elasticloadbalancing": query,
	"iam": query, "logs": jsonRPC, "monitoring": rpcCBOR, "pricing": jsonRPC, "route53": restXML,
	"s3": rest, "secretsmanager": jsonRPC, "servicequotas": jsonRPC, "sqs": jsonRPC, "ssm": jsonRPC, "sts": query,
}

// Request is a call.
type Request struct {
	// Service is what the call is signed for, in CloudWatch's case its name in IAM policies. Action is
	// the operation. S3's path says it.
	Service, Action string
	// AccessKey, Region and Token are the signature's.
	AccessKey, Region, Token string
	// Input holds the arguments: JSON, or texts of a form or of S3's query.
	Input map[string]any
	// Body is what S3 is sent.
	Body []byte
	HTTP *http.Request

	protocol protocol
}

// Error is an error as AWS writes it. The status 0 stands for 400.
type Error struct {
	Code, Message string
	Status        int
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Refuse makes an Error with status 400.
func Refuse(code, format string, arguments ...any) error {
	return &Error{Code: code, Message: fmt.Sprintf(format, arguments...)}
}

// ErrUnread is the error of a call that its caller did not finish.
var ErrUnread = errors.New("the call ends early")

var authorization = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=([^/]+)/\d{8}/([^/]+)/([^/]+)/aws4_request, ?` +
	`SignedHeaders=[a-z0-9;-]*host[a-z0-9;-]*, ?Signature=[0-9a-f]{64}$`)

// Read reads a call. It looks at the form of the signature and does not compute it. The error is an
// *Error if the call has no signature; the Request is usable for WriteError in any case.
func Read(hr *http.Request) (*Request, error) {
	r := &Request{Service: "?", Action: hr.Method + " " + hr.URL.Path, Input: map[string]any{}, HTTP: hr}
	signed := authorization.FindStringSubmatch(hr.Header.Get("Authorization"))
	if signed == nil {
		return r, &Error{"MissingAuthenticationToken", "the call is not signed", http.StatusForbidden}
	}
	r.AccessKey, r.Region, r.Service = signed[1], signed[2], signed[3]
	r.Token = hr.Header.Get("X-Amz-Security-Token")
	r.protocol = protocols[r.Service]
	body, err := io.ReadAll(hr.Body)
	if err != nil {
		return r, fmt.Errorf("%w: %w", ErrUnread, err)
	}
	form := hr.URL.Query()
	switch r.protocol {
	case query, ec2:
		if form, err = url.ParseQuery(string(body)); err != nil {
			return r, err
		}
		r.Action = form.Get("Action")
		form.Del("Action")
		form.Del("Version")
	case jsonRPC:
		// The target is the service's name for its API, with a dot or two, and the action.
		target := hr.Header.Get("X-Amz-Target")
		r.Action = target[strings.LastIndex(target, ".")+1:]
		return r, json.Unmarshal(body, &r.Input)
	case rest:
		r.Action, r.Body = "", body
	case restXML:
		id, zone := strings.CutPrefix(hr.URL.Path, "/2013-04-01/hostedzone/")
		if !zone || hr.Method != http.MethodGet || strings.Contains(id, "/") {
			return r, fmt.Errorf("%s is not known", r.Action)
		}
		r.Action, r.Input["Id"] = "GetHostedZone", id
	case rpcCBOR:
		r.Service, r.Action = "cloudwatch", path.Base(hr.URL.Path)
		return r, r.readCBOR(body)
	default:
		return r, fmt.Errorf("the service %q is not known", r.Service)
	}
	for name, value := range form {
		r.Input[name] = value[0]
	}
	return r, nil
}

// Text returns an argument as text, "" when it is not given.
func (r *Request) Text(name string) string {
	if value, given := r.Input[name]; given {
		return fmt.Sprint(value)
	}
	return ""
}

// Object is an answer, or a part of one: its members by their names. They are texts, numbers, lists
// and Objects.
type Object = map[string]any

// Pairs makes a list of a map, in the order of its keys.
func Pairs(key, value string, all map[string]string) (list []Object) {
	for _, k := range slices.Sorted(maps.Keys(all)) {
		list = append(list, Object{key: k, value: all[k]})
	}
	return list
}

// Element is an answer that has a name of its own in XML, as S3's have.
type Element struct {
	Name  string
	Value any
}

// Write writes the answer of a call: an Object, or in S3's case an Element or nil.
func (r *Request) Write(w http.ResponseWriter, result any) {
	switch r.protocol {
	case jsonRPC, rpcCBOR:
		r.write(w, http.StatusOK, "", result)
	case rest:
		if named, is := result.(Element); is {
			r.write(w, http.StatusOK, named.Name, named.Value)
		}
	case ec2, restXML:
		r.write(w, http.StatusOK, r.Action+"Response", result)
	default:
		r.write(w, http.StatusOK, r.Action+"Response",
			Object{r.Action + "Result": result, "ResponseMetadata": Object{"RequestId": "standin"}})
	}
}

// WriteError writes the answer of a call that failed.
func (r *Request) WriteError(w http.ResponseWriter, e *Error) {
	status := cmp.Or(e.Status, http.StatusBadRequest)
	detail := Object{"Code": e.Code, "Message": e.Message}
	switch r.protocol {
	case jsonRPC, rpcCBOR:
		r.write(w, status, "", Object{"__type": e.Code, "message": e.Message})
	case rest:
		r.write(w, status, "Error", detail)
	case ec2:
		r.write(w, status, "Response", Object{"Errors": Object{"Error": detail}})
	default:
		r.write(w, status, "ErrorResponse", Object{"Error": detail})
	}
}

// write writes a body, which in XML has a name. A writer that fails has lost its reader.
func (r *Request) write(w http.ResponseWriter, status int, name string, value any) {
	var body bytes.Buffer
	kind := "text/xml;charset=UTF-8"
	switch r.protocol {
	case jsonRPC:
		kind = "application/x-amz-json-1.1"
		json.NewEncoder(&body).Encode(value)
	case rpcCBOR:
		kind = "application/cbor"
		w.Header().Set("Smithy-Protocol", "rpc-v2-cbor")
		body.Write(cbor.Encode(toCBOR(value)))
	default:
		r.element(&body, name, value)
	}
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	w.Write(body.Bytes())
}

// members are what protocols name each member of a list. S3's has no element around them all.
var members = map[protocol]string{query: "member", ec2: "item"}

// element writes a value as XML.
func (r *Request) element(b *bytes.Buffer, name string, value any) {
	member, list := members[r.protocol], reflect.ValueOf(value)
	if list.Kind() == reflect.Slice && member == "" {
		for _, one := range list.Seq2() {
			r.element(b, name, one.Interface())
		}
		return
	}
	fmt.Fprintf(b, "<%s>", name)
	object, is := value.(Object)
	switch {
	case is:
		for _, name := range slices.Sorted(maps.Keys(object)) {
			r.element(b, name, object[name])
		}
	case list.Kind() == reflect.Slice:
		for _, one := range list.Seq2() {
			r.element(b, member, one.Interface())
		}
	case value != nil:
		xml.EscapeText(b, []byte(fmt.Sprint(value)))
	}
	fmt.Fprintf(b, "</%s>", name)
}
