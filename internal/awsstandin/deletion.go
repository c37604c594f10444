package awsstandin

import (
	"fmt"
	"slices"
	"strings"
)

// cleanUp deletes what an update has replaced or left out.
func (s *Server) cleanUp(st *stack, before deployment) {
	waves, _ := before.template.waves()
	slices.Reverse(waves)
	var left []*resource
	defer func() { st.kept = append(st.kept, left...) }()
	for _, id := range slices.Concat(waves...) {
		old := st.resources[id]
		if i := slices.IndexFunc(st.kept, func(r *resource) bool { return r.logicalID == id }); i >= 0 {
			old = st.kept[i]
			st.kept = slices.Delete(st.kept, i, i+1)
			if old.declaration.UpdateReplacePolicy == "Retain" {
				st.tell(old, "DELETE_SKIPPED", "")
				left = append(left, old)
				continue
			}
		} else if included, _ := s.evaluator(st, st.deployed).includedID(id); included || old == nil {
			continue
		} else if delete(st.resources, id); old.declaration.DeletionPolicy == "Retain" {
			st.tell(old, "DELETE_SKIPPED", "")
			left = append(left, old)
			continue
		}
		if user := s.user(old); user != "" {
			st.tell(old, "DELETE_FAILED", dependency(old, user))
			left = append(left, old)
			continue
		}
		st.tell(old, "DELETE_COMPLETE", "")
	}
}

func (e *evaluator) includedID(id string) (bool, error) {
	d, declared := e.template.Resources[id]
	if !declared {
		return false, nil
	}
	return e.included(d)
}

func dependency(r *resource, user string) string {
	return fmt.Sprintf("Resource handler returned message: \"resource %s has a dependent object, %s (Service: Ec2, Status Code: 400)\"", r.id, user)
}

// deletions are the steps of deleting a stack's resources, the last made first. A resource that cannot be deleted ends them, and the stack is in the state given then.
func (s *Server) deletions(st *stack, otherwise string) []func() {
	waves, _ := st.deployed.template.waves()
	slices.Reverse(waves)
	var steps []func()
	for _, wave := range waves {
		steps = append(steps, func() {
			var failed []string
			for _, id := range wave {
				r := st.resources[id]
				switch {
				case r == nil:
				case r.declaration.DeletionPolicy == "Retain":
					st.tell(r, "DELETE_SKIPPED", "")
					delete(st.resources, id)
					st.kept = append(st.kept, r)
				default:
					st.tell(r, "DELETE_IN_PROGRESS", "")
					if user := s.user(r); user != "" {
						st.tell(r, "DELETE_FAILED", dependency(r, user))
						failed = append(failed, id)
						continue
					}
					delete(st.resources, id)
					st.tell(r, "DELETE_COMPLETE", "")
				}
			}
			if len(failed) > 0 {
				st.end()
				st.become(otherwise, fmt.Sprintf("The following resource(s) failed to delete: [%s].", strings.Join(failed, ", ")))
			}
		})
	}
	return steps
}
