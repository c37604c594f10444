// Package standin answers the few calls of AWS's APIs that packages operator and doctor make, on
// loopback: a model of one fleet, with ECS's scheduler as far as it matters, and of its account.
//
// It is as strict as AWS where a test could otherwise pass for a wrong reason. A request must be
// signed by the right key for the right service and region, lists come in pages of two, and the
// limits of batches hold. UpdateService takes a desired count or a new deployment, and nothing
// else. [AWS.Problems] names what breaks a rule; tests ask for it at their end. The SDK encodes
// the requests and decodes the answers, so neither is held to the API's model once more. Answers
// have what their askers read.
//
// Time passes when a service is described: each look moves its tasks a step on.
package standin

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"

	"squidfleet/internal/awsapi"
)

// What the stand-in accepts and names.
const (
	Region    = "eu-west-1"
	AccessKey = "AKIAIOSFODNN7EXAMPLE"
	StackName = "Squidfleet"
	Endpoint  = "squid-loadb-1a2b3c4d5e6f7a8b.elb.eu-west-1.amazonaws.com:35201"

	account = "111122223333"
)

// AWS is the stand-in. Its methods may be called at any time.
type AWS struct {
	// URL is what AWS_ENDPOINT_URL has to be.
	URL string

	server   *httptest.Server
	mu       sync.Mutex
	model    model
	fleet    fleet
	faults   map[string]*fault
	calls    []string
	inputs   map[string][]map[string]any
	problems []string
	pageSize int // small, so that no test meets a list that fits into one page
}

// fault makes an action fail.
type fault struct {
	code  string
	times int
}

// New starts one with a fleet of two addresses.
func New() *AWS {
	a := &AWS{
		fleet: newFleet(), model: newModel(), faults: map[string]*fault{}, inputs: map[string][]map[string]any{},
		pageSize: 2,
	}
	a.server = httptest.NewServer(a)
	a.URL = a.server.URL
	return a
}

// Close ends it.
func (a *AWS) Close() { a.server.Close() }

// Fail makes an action, written as in IAM policies, answer with an error the next times.
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

// Inputs returns what an action was called with.
func (a *AWS) Inputs(action string) []map[string]any {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.inputs[action])
}

// Problems returns what AWS would not have taken.
func (a *AWS) Problems() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.problems)
}

func (a *AWS) problem(format string, arguments ...any) {
	a.problems = append(a.problems, fmt.Sprintf(format, arguments...))
}

// refusal is an error that a test asks for. The texts of other codes than these are shown nowhere.
func refusal(code, action string) error {
	rest := " on resource: *"
	if code == "UnauthorizedOperation" {
		rest = ". Encoded authorization failure message: lVkb8YzVYDmzVYD"
	}
	return refuse(code, "User: arn:aws:iam::%s:user/olga is not authorized to perform: %s%s", account, action, rest)
}

type (
	request = awsapi.Request
	object  = awsapi.Object
)

var refuse = awsapi.Refuse

// ServeHTTP answers a call.
func (a *AWS) ServeHTTP(w http.ResponseWriter, hr *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if strings.HasPrefix(hr.URL.Path, "/latest/") {
		http.NotFound(w, hr) // a machine of EC2's without a role
		return
	}
	r, err := awsapi.Read(hr)
	action := r.Service + ":" + r.Action
	if errors.Is(err, awsapi.ErrUnread) {
		return
	}
	if err != nil {
		a.problem("%s: %v", action, err)
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	a.calls = append(a.calls, action)
	a.inputs[action] = append(a.inputs[action], r.Input)
	region := a.model.words["region"]
	if r.Service == "pricing" {
		region = "us-east-1" // has the prices of all regions
	}
	if r.AccessKey != AccessKey || r.Region != region {
		a.problem("%s is signed by %s for %s, want %s and %s", action, r.AccessKey, r.Region, AccessKey, region)
	}
	output, err := a.answer(r, action)
	var refused *awsapi.Error
	switch {
	case err == nil:
		r.Write(w, output)
	case errors.As(err, &refused):
		r.WriteError(w, refused)
	default:
		a.problem("%s: %v", action, err)
		http.Error(w, err.Error(), http.StatusNotImplemented)
	}
}

func (a *AWS) answer(r *request, action string) (any, error) {
	if f := a.faults[action]; f != nil && f.times > 0 {
		f.times--
		return nil, refusal(f.code, action)
	}
	if answer, is := operations[action]; is {
		return answer(a, r)
	}
	return nil, errors.New("there is no stand-in")
}
