package standin

import (
	"cmp"
	"embed"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The shapes of the calls that are made with forms and answered with XML, as AWS's API models have them. The SDK has schemas for the other services only. They were taken from the files service-2.json of botocore 1.29.27, without
// the documentation.
//
//go:embed models/*.json
var modelFiles embed.FS

// model is one operation's.
type model struct {
	Protocol      string // "query", or "ec2"
	Namespace     string
	Operation     string
	Input, Output string // shapes
	ResultWrapper string
	Shapes        map[string]shape
}

type shape struct {
	Type     string
	Members  map[string]member
	Required []string
	Member   member // a list's
	Enum     []string
	Min, Max *int
	Pattern  string
}

type member struct{ Shape, LocationName, QueryName string }

// models are those of the forms' services, by IAM's prefix.
var models = func() map[string]*model {
	all := map[string]*model{}
	for name, p := range protocols {
		if p.version == "" {
			continue
		}
		text, err := modelFiles.ReadFile("models/" + name + ".json")
		if err != nil {
			panic(err)
		}
		all[name] = new(model)
		if err := json.Unmarshal(text, all[name]); err != nil {
			panic(fmt.Errorf("%s: %w", name, err))
		}
	}
	return all
}()

// node is an element of XML, or a part of a form's names.
type node struct {
	XMLName  xml.Name
	Text     string  `xml:",chardata"`
	Children []*node `xml:",any"`
}

func (n *node) name() string { return n.XMLName.Local }

// child returns the one of that name, or nil.
func (n *node) child(name string) *node {
	if i := slices.IndexFunc(n.Children, func(c *node) bool { return c.name() == name }); i >= 0 {
		return n.Children[i]
	}
	return nil
}

// numbered tells whether the children are a list of a form's.
func (n *node) numbered() bool { return n.child("1") != nil }

// checkForm compares a request with the shape of the operation's input.
func (m *model) checkForm(form url.Values) []string {
	root := new(node)
	for _, key := range slices.Sorted(maps.Keys(form)) {
		if key == "Action" || key == "Version" {
			continue
		}
		// Structures and lists stand in the names: Filter.1.Value.2.
		at := root
		for part := range strings.SplitSeq(key, ".") {
			next := at.child(part)
			if next == nil {
				next = &node{XMLName: xml.Name{Local: part}}
				at.Children = append(at.Children, next)
			}
			at = next
		}
		at.Text = form.Get(key)
	}
	return m.check(m.Input, root, m.Operation, m.formName)
}

// formName is what a member is called in a form: with EC2 it begins with a capital.
func (m *model) formName(name string, of member) string {
	location := xmlName(name, of)
	if m.Protocol != "ec2" {
		return location
	}
	return cmp.Or(of.QueryName, strings.ToUpper(location[:1])+location[1:])
}

// xmlName is what it is called in an answer.
func xmlName(name string, of member) string { return cmp.Or(of.LocationName, name) }

// checkXML compares an answer with the shape of the operation's output.
func (m *model) checkXML(text string) []string {
	result := new(node)
	if err := xml.Unmarshal([]byte(text), result); err != nil {
		return []string{fmt.Sprintf("%s: %v", m.Operation, err)}
	}
	result.XMLName.Space = strings.TrimSuffix(result.XMLName.Space, "/") // which only some of the models have
	if want := (xml.Name{Space: strings.TrimSuffix(m.Namespace, "/"), Local: m.Operation + "Response"}); result.XMLName != want {
		return []string{fmt.Sprintf("%s is answered with %v, and %v in the API model", m.Operation, result.XMLName, want)}
	}
	if m.ResultWrapper == "" {
		result.Children = slices.DeleteFunc(result.Children, func(n *node) bool { return n.name() == "requestId" })
	} else if result = result.child(m.ResultWrapper); result == nil {
		return []string{fmt.Sprintf("%s is answered without %s", m.Operation, m.ResultWrapper)}
	}
	return m.check(m.Output, result, m.Operation, xmlName)
}

// check compares a value with a shape; named tells what a member is called on the wire.
func (m *model) check(shapeName string, value *node, path string, named func(string, member) string) (problems []string) {
	s := m.Shapes[shapeName]
	switch s.Type {
	case "structure":
		known := map[string]string{}
		for name, of := range s.Members {
			known[named(name, of)] = of.Shape
		}
		seen := map[string]bool{}
		for _, child := range value.Children {
			name := child.name()
			if known[name] == "" || seen[name] {
				problems = append(problems, fmt.Sprintf("%s.%s is not in the API model, or twice in the message", path, name))
				continue
			}
			seen[name] = true
			problems = append(problems, m.check(known[name], child, path+"."+name, named)...)
		}
		for _, name := range s.Required {
			if !seen[named(name, s.Members[name])] {
				problems = append(problems, fmt.Sprintf("%s.%s is missing", path, name))
			}
		}
		return problems
	case "list":
		return m.checkList(s, value, path, named)
	}
	if len(value.Children) > 0 {
		return []string{fmt.Sprintf("%s has members, and is a %s in the API model", path, s.Type)}
	}
	if !s.takes(value.Text) {
		return []string{fmt.Sprintf("%s is %q, which is no %s of the API model", path, value.Text, shapeName)}
	}
	return nil
}

// checkList knows that the elements of a list have numbers in forms: with EC2 right after its name, with the others after the element's.
func (m *model) checkList(s shape, list *node, path string, named func(string, member) string) (problems []string) {
	element := xmlName("member", s.Member)
	if inner := list.child(element); m.Protocol == "query" && inner != nil && inner.numbered() {
		list = inner
	} else if m.Protocol == "query" && list.numbered() {
		return []string{fmt.Sprintf("%s has no element %s", path, element)}
	}
	for i, child := range list.Children {
		want := element
		if list.numbered() {
			want = strconv.Itoa(i + 1)
			child = list.child(want)
		}
		if child == nil || child.name() != want {
			return append(problems, fmt.Sprintf("%s has no element %s", path, want))
		}
		problems = append(problems, m.check(s.Member.Shape, child, fmt.Sprintf("%s[%d]", path, i), named)...)
	}
	return problems
}

// takes tells whether a text is a value of a simple shape.
func (s shape) takes(text string) bool {
	size := len(text)
	switch s.Type {
	case "string":
	case "boolean":
		return text == "true" || text == "false"
	case "integer":
		n, err := strconv.Atoi(text)
		if err != nil {
			return false
		}
		size = n
	case "timestamp":
		_, err := time.Parse(time.RFC3339, text)
		return err == nil
	default:
		return false
	}
	return (s.Min == nil || size >= *s.Min) && (s.Max == nil || size <= *s.Max) && (len(s.Enum) == 0 || slices.Contains(s.Enum, text)) &&
		(s.Pattern == "" || regexp.MustCompile("^(?:"+s.Pattern+")$").MatchString(text))
}
