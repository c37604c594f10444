package awsstandin

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// deployment is a template with all that goes with it.
type deployment struct {
	template     *template
	raw          map[string]string // parameters as given
	resolved     map[string]any    // and as the template sees them
	tags         []tag
	capabilities []string
}

// deploy brings the stack to a deployment, or back to where it was. verb is CREATE or UPDATE.
func (s *Server) deploy(st *stack, d deployment, verb string) {
	before := st.deployed
	resources, outputs, exports, kept := maps.Clone(st.resources), st.outputs, st.exports, slices.Clone(st.kept)
	st.deployed = d
	st.become(verb+"_IN_PROGRESS", "User Initiated")
	waves, err := d.template.waves()
	if err != nil {
		panic(err) // parseTemplate has seen to it
	}
	var steps []func()
	var failed []string
	var reason string
	fail := func() {
		// Nothing of the rest is begun.
		if verb == "CREATE" {
			st.become("ROLLBACK_IN_PROGRESS", fmt.Sprintf("The following resource(s) failed to create: [%s]. Rollback requested by user.", strings.Join(failed, ", ")))
			st.start(append(s.deletions(st, "ROLLBACK_FAILED"), func() {
				st.outputs, st.exports = nil, nil
				st.become("ROLLBACK_COMPLETE", "")
			}))
			return
		}
		st.become("UPDATE_ROLLBACK_IN_PROGRESS", fmt.Sprintf("The following resource(s) failed to update: [%s]. %s", strings.Join(failed, ", "), reason))
		var made []*resource
		for id, r := range st.resources {
			if old := resources[id]; old == nil || old.id != r.id {
				made = append(made, r)
			} else if old != r {
				st.tell(old, "UPDATE_COMPLETE", "")
			}
		}
		st.start([]func(){
			func() {
				st.deployed, st.resources, st.outputs, st.exports = before, resources, outputs, exports
				st.kept = kept
				st.become("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", "")
			},
			func() {
				for _, r := range made {
					st.tell(r, "DELETE_COMPLETE", "")
				}
				st.become("UPDATE_ROLLBACK_COMPLETE", "")
			},
		})
	}
	for _, wave := range waves {
		steps = append(steps, func() {
			for _, id := range wave {
				if len(failed) > 0 {
					// What was begun beside the one that failed is given up.
					st.event(id, "", d.template.Resources[id].Type, verb+"_FAILED", cancelled[verb])
					continue
				}
				if problem := s.deployResource(st, d, id); problem != "" {
					failed, reason = append(failed, id), problem
				}
			}
			if len(failed) > 0 {
				fail()
			}
		})
	}
	steps = append(steps, func() {
		var err error
		if st.outputs, st.exports, err = s.workOutputs(st, d); err != nil {
			failed, reason = []string{"outputs"}, err.Error()
			fail()
			return
		}
		if verb == "CREATE" {
			st.become("CREATE_COMPLETE", "")
			return
		}
		st.become("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "")
		s.cleanUp(st, before)
		st.become("UPDATE_COMPLETE", "")
	})
	st.start(steps)
}

// cancelled is the reason by which the CLI tells what was given up from what has failed.
var cancelled = map[string]string{"CREATE": "Resource creation cancelled", "UPDATE": "Resource update cancelled"}

// deployResource makes, changes or replaces one resource and returns why it could not.
func (s *Server) deployResource(st *stack, d deployment, id string) (problem string) {
	e := s.evaluator(st, d)
	declared := d.template.Resources[id]
	included, err := e.included(declared)
	if err == nil && !included {
		return ""
	}
	r := &resource{logicalID: id, kind: declared.Type, declaration: declared}
	old := st.resources[id]
	verb := "CREATE"
	if err == nil {
		r.properties, err = e.properties(declared)
	}
	if err != nil {
		st.event(id, "", declared.Type, "CREATE_FAILED", err.Error())
		return err.Error()
	}
	if old != nil {
		changed, replaced := s.compare(old, r)
		if len(changed) == 0 {
			old.declaration = declared
			return ""
		}
		verb = "UPDATE"
		if !replaced {
			r.id = old.id
		}
	}
	if r.id == "" {
		s.identify(st.name, r)
		if other := s.find(r.kind, r.id); other != nil {
			problem = fmt.Sprintf("%s already exists", r.id)
		}
	}
	st.tell(r, verb+"_IN_PROGRESS", "")
	if problem == "" {
		problem = s.problem(st, r)
	}
	if problem != "" {
		st.tell(r, verb+"_FAILED", fmt.Sprintf("Resource handler returned message: %q", problem))
		return problem
	}
	if old != nil && old.id != r.id {
		st.kept = append(st.kept, old)
	}
	st.resources[id] = r
	st.tell(r, verb+"_COMPLETE", "")
	return ""
}

// compare returns the names of the properties in which two states of a resource differ, and whether a new resource has to take the place of the old one.
func (s *Server) compare(before, after *resource) (changed []string, replaced bool) {
	if before.kind != after.kind {
		return []string{"Type"}, true
	}
	names := maps.Clone(before.properties)
	maps.Copy(names, after.properties)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if !equal(before.properties[name], after.properties[name]) {
			changed = append(changed, name)
			replaced = replaced || s.spec[after.kind].Properties[name].Replaces == "yes"
		}
	}
	return changed, replaced
}
