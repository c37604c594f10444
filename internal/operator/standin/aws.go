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
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
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

// Lost is a code for Fail that is not AWS's: the action is done, and its answer gets lost.
const Lost = "lost"

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

// What AWS says with the codes that tests ask for, and the statuses that are not 400.
const notAuthorized = "User: arn:aws:iam::" + account + ":user/olga is not authorized to perform: %s"

var (
	messages = map[string]string{
		"AccessDenied":          notAuthorized + " on resource: *",
		"AccessDeniedException": notAuthorized + " on resource: *",
		"UnauthorizedOperation": "You are not authorized to perform this operation. " + notAuthorized +
			". Encoded authorization failure message: lVkb8YzVYDmzVYD",
		"ExpiredToken":         "The security token included in the request is expired",
		"InvalidClientTokenId": "The security token included in the request is invalid.",
		"Throttling":           "Rate exceeded",
		"ThrottlingException":  "Rate exceeded",
		"RequestLimitExceeded": "Request limit exceeded.",
	}
	statuses = map[string]int{
		"AccessDenied": 403, "UnauthorizedOperation": 403, "ExpiredToken": 403, "InvalidClientTokenId": 403,
		"RequestLimitExceeded": 503,
	}
)

// request is a call.
type request = awsapi.Request

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
	answer, known := operations[action]
	if !known {
		a.problem("%s has no stand-in", action)
		http.Error(w, "no stand-in", http.StatusNotImplemented)
		return
	}
	f := a.faults[action]
	faulty := f != nil && f.times > 0
	if faulty {
		f.times--
	}
	if faulty && f.code != Lost {
		message := strings.ReplaceAll(messages[f.code], "%s", action)
		r.WriteError(w, &awsapi.Error{Code: f.code, Message: message, Status: statuses[f.code]})
		return
	}
	output, err := answer(a, r)
	if faulty {
		panic(http.ErrAbortHandler)
	}
	if err != nil {
		r.WriteError(w, err.(*awsapi.Error))
		return
	}
	r.Write(w, output)
}

type object = map[string]any

// node is an element of an answer in XML.
type node struct {
	XMLName  xml.Name
	Text     string `xml:",chardata"`
	Children []node
}

func text(name, value string) node { return node{XMLName: xml.Name{Local: name}, Text: value} }

func group(name string, children ...node) node {
	return node{XMLName: xml.Name{Local: name}, Children: children}
}

// page returns a page of a list, and the token of the next one. AWS may answer with fewer than were
// asked for.
func page[T any](a *AWS, all []T, token string) (some []T, next string, err error) {
	from := 0
	if token != "" {
		if from, err = strconv.Atoi(token); err != nil || from > len(all) {
			return nil, "", refuse("InvalidParameterException", "Invalid token.")
		}
	}
	to := min(from+a.pageSize, len(all))
	if to < len(all) {
		next = strconv.Itoa(to)
	}
	return all[from:to], next, nil
}

// inJSON is an answer with a page of a list.
func inJSON[T any](a *AWS, r *request, token, list string, all []T) (any, error) {
	some, next, err := page(a, all, r.Text(token))
	answer := object{list: some}
	if next != "" {
		answer[token] = next
	}
	return answer, err
}

// inXML is an answer with a page of a list.
func inXML[T any](a *AWS, r *request, token, next, list, member string, all []T, each func(T) []node) (any, error) {
	some, rest, err := page(a, all, r.Text(token))
	var members []node
	for _, one := range some {
		members = append(members, group(member, each(one)...))
	}
	answer := group("", group(list, members...))
	if rest != "" {
		answer.Children = append(answer.Children, text(next, rest))
	}
	return answer, err
}

// ofEC2 is an answer of EC2's with a page of a list.
func ofEC2[T any](a *AWS, r *request, list string, all []T, each func(T) []node) (any, error) {
	return inXML(a, r, "NextToken", "nextToken", list, "item", all, each)
}
