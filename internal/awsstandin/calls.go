package awsstandin

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Call is one call that reached the stand-in.
type Call struct {
	Service, Action string
	// Principal is who called: User, or the name of a role.
	Principal string
	// Error is AWS's code of a refusal, "" when the call succeeded.
	Error string
	// Unanswered says that the stand-in could not answer, and Ignored names arguments it has not looked at: in both cases it has told the caller nothing that AWS would.
	Unanswered bool
	Ignored    []string
}

// Calls returns what was called so far.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// Unanswered tells each kind of call, and each argument, that the stand-in does not know.
func (s *Server) Unanswered() []string {
	found := map[string]bool{}
	for _, call := range s.Calls() {
		name := call.Service + ":" + call.Action
		if call.Unanswered {
			found[name+" ("+call.Error+")"] = true
		}
		for _, argument := range call.Ignored {
			found[name+" with "+argument] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// Summary is a line for each service, with its calls and how often each was made.
func Summary(calls []Call) string {
	services := map[string]map[string]int{}
	for _, call := range calls {
		if services[call.Service] == nil {
			services[call.Service] = map[string]int{}
		}
		services[call.Service][call.Action]++
	}
	var b strings.Builder
	for _, service := range slices.Sorted(maps.Keys(services)) {
		total := 0
		var actions []string
		for _, action := range slices.Sorted(maps.Keys(services[service])) {
			count := services[service][action]
			total += count
			actions = append(actions, fmt.Sprintf("%s %d", action, count))
		}
		fmt.Fprintf(&b, "%s %d: %s\n", service, total, strings.Join(actions, ", "))
	}
	return b.String()
}
