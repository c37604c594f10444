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
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"
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

// Element is a result that has a name of its own in XML, as S3's have.
type Element struct {
	Name  string
	Value any
}

// Write writes the answer of a call: what json or xml can encode. S3's is an Element or nil.
func (r *Request) Write(w http.ResponseWriter, result any) {
	switch r.protocol {
	case jsonRPC:
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		json.NewEncoder(w).Encode(result)
		return
	case rpcCBOR:
		writeCBOR(w, http.StatusOK, result)
		return
	}
	w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
	switch r.protocol {
	case rest:
		if named, is := result.(Element); is {
			encode(w, named.Name, named.Value)
		}
	case ec2, restXML:
		encode(w, r.Action+"Response", result)
	default:
		var inner bytes.Buffer
		encode(&inner, r.Action+"Result", result)
		fmt.Fprintf(w,
			"<%sResponse>%s<ResponseMetadata><RequestId>standin</RequestId></ResponseMetadata></%[1]sResponse>",
			r.Action, inner.Bytes())
	}
}

func encode(w io.Writer, name string, value any) {
	if value == nil {
		value = struct{}{}
	}
	// The stand-ins' own types can be encoded; a writer that fails has lost its reader.
	xml.NewEncoder(w).EncodeElement(value, xml.StartElement{Name: xml.Name{Local: name}})
}

// WriteError writes the answer of a call that failed.
func (r *Request) WriteError(w http.ResponseWriter, e *Error) {
	status := cmp.Or(e.Status, http.StatusBadRequest)
	detail := struct{ Code, Message string }{e.Code, e.Message}
	switch r.protocol {
	case rpcCBOR:
		writeCBOR(w, status, map[string]any{"__type": e.Code, "message": e.Message})
		return
	case jsonRPC:
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(map[string]string{"__type": e.Code, "message": e.Message})
		return
	}
	w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
	w.WriteHeader(status)
	switch r.protocol {
	case rest:
		encode(w, "Error", detail)
	case ec2:
		encode(w, "Response", struct {
			Error any `xml:"Errors>Error"`
		}{detail})
	default:
		encode(w, "ErrorResponse", struct{ Error any }{detail})
	}
}
