package standin

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/aws/smithy-go"
)

// What the stand-in accepts and names.
const (
	Region    = "eu-west-1"
	AccessKey = "AKIAIOSFODNN7EXAMPLE"
	StackName = "Squidfleet"
	Endpoint  = "squid-loadb-1a2b3c4d5e6f7a8b.elb.eu-west-1.amazonaws.com:35201"
)

const (
	account  = "111122223333"
	cluster  = "Squidfleet-Proxy-Cluster-5Xq1oY2bQk3S"
	service  = "Squidfleet-Proxy-Service-8sQk3SbY2oX1"
	logGroup = "Squidfleet-Proxy-Log-0Zr7LmQpVt9W"
)

// AWS is the stand-in. Its methods may be called at any time.
type AWS struct {
	// URL is what AWS_ENDPOINT_URL has to be.
	URL string

	server   *httptest.Server
	mu       sync.Mutex
	fleet    fleet
	faults   map[string]*fault
	calls    []string
	inputs   map[string][]map[string]any
	problems []string
}

// fault makes an action fail.
type fault struct {
	code  string
	times int
}

// New starts one with a fleet of two tasks.
func New() *AWS {
	a := &AWS{fleet: newFleet(), faults: map[string]*fault{}, inputs: map[string][]map[string]any{}}
	a.server = httptest.NewServer(a)
	a.URL = a.server.URL
	return a
}

// Close ends it.
func (a *AWS) Close() { a.server.Close() }

// Lost is a code for Fail that is none of AWS's: the action is done, and its answer gets lost.
const Lost = "lost"

// Fail has an action, written as in IAM policies, answer with an error the next times.
func (a *AWS) Fail(action, code string, times int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.faults[action] = &fault{code, times}
}

// Calls returns the actions called so far, in their order.
func (a *AWS) Calls() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.calls)
}

// Inputs returns what an action that takes JSON was called with.
func (a *AWS) Inputs(action string) []map[string]any {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.inputs[action])
}

// Problems returns what AWS would not have taken, or not have said.
func (a *AWS) Problems() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.problems)
}

func (a *AWS) problem(format string, arguments ...any) {
	a.problems = append(a.problems, fmt.Sprintf(format, arguments...))
}

// refusal is an error of the API.
type refusal struct {
	status        int
	code, message string
}

func (r *refusal) Error() string { return r.code + ": " + r.message }

func refuse(code, format string, arguments ...any) error {
	return &refusal{http.StatusBadRequest, code, fmt.Sprintf(format, arguments...)}
}

// messages are what AWS says with the codes that tests ask for; statuses are theirs where it is not 400.
var (
	messages = map[string]string{
		"AccessDenied":                "User: arn:aws:iam::" + account + ":user/olga is not authorized to perform: %s on resource: *",
		"AccessDeniedException":       "User: arn:aws:iam::" + account + ":user/olga is not authorized to perform: %s on resource: *",
		"UnauthorizedOperation":       "You are not authorized to perform this operation. User: arn:aws:iam::" + account + ":user/olga is not authorized to perform: %s. Encoded authorization failure message: lVkb8YzVYDmzVYD",
		"ExpiredToken":                "The security token included in the request is expired",
		"InvalidClientTokenId":        "The security token included in the request is invalid.",
		"UnrecognizedClientException": "The security token included in the request is invalid.",
		"Throttling":                  "Rate exceeded",
		"ThrottlingException":         "Rate exceeded",
		"RequestLimitExceeded":        "Request limit exceeded.",
	}
	statuses = map[string]int{"AccessDenied": 403, "UnauthorizedOperation": 403, "ExpiredToken": 403, "InvalidClientTokenId": 403, "RequestLimitExceeded": 503}
)

// protocols are the services' ways to be called. IAM's prefix is the key.
var protocols = map[string]struct {
	signedFor string
	target    string // X-Amz-Target's prefix, with JSON
	json      string // JSON's version, "" for 1.1
	version   string // the form's Version, otherwise
}{
	"cloudformation":       {signedFor: "cloudformation", version: "2010-05-15"},
	"ec2":                  {signedFor: "ec2", version: "2016-11-15"},
	"ecs":                  {signedFor: "ecs", target: "AmazonEC2ContainerServiceV20141113."},
	"elasticloadbalancing": {signedFor: "elasticloadbalancing", version: "2015-12-01"},
	"logs":                 {signedFor: "logs", target: "Logs_20140328."},
	"secretsmanager":       {signedFor: "secretsmanager", target: "secretsmanager."},
	"sqs":                  {signedFor: "sqs", target: "AmazonSQS.", json: "1.0"},
}

// request is a call with what it was given.
type request struct {
	service, operation string
	input              map[string]any // JSON
	form               url.Values
}

var authorization = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=([^/]+)/\d{8}/([^/]+)/([^/]+)/aws4_request, SignedHeaders=[a-z0-9;-]*host[a-z0-9;-]*, Signature=[0-9a-f]{64}$`)

// ServeHTTP answers a call.
func (a *AWS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client is gone
	}
	if strings.HasPrefix(r.URL.Path, "/latest/") {
		http.NotFound(w, r) // a machine of EC2's without a role
		return
	}
	call, err := parse(r, body)
	if err != nil {
		a.problem("%v", err)
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	action := call.service + ":" + call.operation
	a.calls = append(a.calls, action)
	a.inputs[action] = append(a.inputs[action], call.input)
	signed := authorization.FindStringSubmatch(r.Header.Get("Authorization"))
	if want := []string{AccessKey, Region, protocols[call.service].signedFor}; signed == nil || !slices.Equal(signed[1:], want) {
		a.problem("%s is signed %q, want %q", action, r.Header.Get("Authorization"), want)
	}
	answer, ok := operations[action]
	if !ok {
		a.problem("%s has no stand-in", action)
		http.Error(w, "no stand-in", http.StatusNotImplemented)
		return
	}
	a.check(call, answer)
	f := a.faults[action]
	faulty := f != nil && f.times > 0
	if faulty {
		f.times--
	}
	if faulty && f.code != Lost {
		a.fail(w, call, &refusal{statuses[f.code], f.code, message(f.code, action)})
		return
	}
	output, err := answer.call(a, call)
	if faulty {
		panic(http.ErrAbortHandler)
	}
	if err != nil {
		a.fail(w, call, err)
		return
	}
	if call.form != nil {
		for _, p := range models[call.service].checkXML(output.(string)) {
			a.problem("%s", p)
		}
		w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
		fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?>`+"\n%s", output)
		return
	}
	a.send(w, action, answer.output, output)
}

// check compares a request with the shape that AWS's API model gives it.
func (a *AWS) check(call *request, o operation) {
	var problems []string
	if call.form != nil {
		problems = models[call.service].checkForm(call.form)
	} else {
		problems = check(o.input, call.input, call.service+":"+call.operation)
	}
	for _, p := range problems {
		a.problem("%s", p)
	}
}

func message(code, action string) string {
	text := messages[code]
	if strings.Contains(text, "%s") {
		return fmt.Sprintf(text, action)
	}
	return text
}

func parse(r *http.Request, body []byte) (*request, error) {
	target := r.Header.Get("X-Amz-Target")
	for name, p := range protocols {
		if operation, ok := strings.CutPrefix(target, p.target); ok && p.target != "" {
			call := &request{service: name, operation: operation}
			if got := r.Header.Get("Content-Type"); got != "application/x-amz-json-"+cmp.Or(p.json, "1.1") {
				return nil, fmt.Errorf("%s: content type %q", target, got)
			}
			return call, json.Unmarshal(body, &call.input)
		}
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	for name, p := range protocols {
		if p.version != "" && form.Get("Version") == p.version {
			return &request{service: name, operation: form.Get("Action"), form: form}, nil
		}
	}
	return nil, fmt.Errorf("a request of no service: target %q, body %.200q", target, body)
}

// fail answers with an error in the service's own form.
func (a *AWS) fail(w http.ResponseWriter, call *request, err error) {
	r, ok := err.(*refusal)
	if !ok {
		r = &refusal{http.StatusInternalServerError, "InternalFailure", err.Error()}
		a.problem("%s:%s: %v", call.service, call.operation, err)
	}
	status := r.status
	if status == 0 {
		status = http.StatusBadRequest
	}
	switch {
	case call.service == "ec2":
		w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
		w.WriteHeader(status)
		fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?>`+"\n<Response><Errors><Error><Code>%s</Code><Message>%s</Message></Error></Errors><RequestID>ea966190-f9aa-478e-9ede-example</RequestID></Response>", r.code, r.message)
	case call.form != nil:
		w.Header().Set("Content-Type", "text/xml")
		w.WriteHeader(status)
		fmt.Fprintf(w, "<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>ea966190-f9aa-478e-9ede-example</RequestId></ErrorResponse>", r.code, r.message)
	default:
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(map[string]string{"__type": r.code, "message": r.message})
	}
}

// send answers with JSON that must fit the model.
func (a *AWS) send(w http.ResponseWriter, action string, model *smithy.Schema, output any) {
	text, err := json.Marshal(output)
	if err != nil {
		a.problem("%s: %v", action, err)
		return
	}
	var value any
	json.Unmarshal(text, &value)
	for _, p := range check(model, value, action) {
		a.problem("%s", p)
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Write(text)
}
