package awsstandin

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// resource is one that a stack has made.
type resource struct {
	logicalID, kind, id string
	properties          map[string]any
	declaration         declaration
}

// failure makes the next creations or updates of a type fail.
type failure struct{ kind, reason string }

// Fail makes the next creation, replacement or update of a resource of a type fail, for example "AWS::ECS::Service", with the reason that AWS would give.
func (s *Server) Fail(kind, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures = append(s.failures, failure{kind, reason})
}

// Resource is what a stack has made.
type Resource struct {
	Stack, LogicalID, Type string
	// ID is what Ref returns.
	ID string
	// Properties are worked out: there is no function in them.
	Properties map[string]any
}

// Resources returns what the stacks have made of a type and not deleted, or of all types for "", by stack and logical id.
func (s *Server) Resources(kind string) []Resource {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []Resource
	for _, st := range s.stacks {
		for _, r := range slices.Concat(slices.Collect(maps.Values(st.resources)), st.kept) {
			if kind == "" || r.kind == kind {
				found = append(found, Resource{st.name, r.logicalID, r.kind, r.id, maps.Clone(r.properties)})
			}
		}
	}
	slices.SortFunc(found, func(a, b Resource) int {
		return cmp.Or(cmp.Compare(a.Stack, b.Stack), cmp.Compare(a.LogicalID, b.LogicalID), cmp.Compare(a.ID, b.ID))
	})
	return found
}

// Status returns the state of a stack, "" where no stack has that name.
func (s *Server) Status(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st := s.stack(name); st != nil {
		return st.status
	}
	return ""
}

// all returns the resources of all stacks.
func (s *Server) all() []*resource {
	var all []*resource
	for _, stack := range s.stacks {
		for _, r := range stack.resources {
			all = append(all, r)
		}
		all = append(all, stack.kept...)
	}
	slices.SortFunc(all, func(a, b *resource) int { return strings.Compare(a.kind+a.id, b.kind+b.id) })
	return all
}

// find returns the resource of a type and id, nil where there is none.
func (s *Server) find(kind, id string) *resource {
	for _, r := range s.all() {
		if r.kind == kind && r.id == id {
			return r
		}
	}
	return nil
}

// Ids of EC2's resources begin with a prefix of the type's own.
var ec2Prefixes = map[string]string{
	"AWS::EC2::VPC":               "vpc-",
	"AWS::EC2::Subnet":            "subnet-",
	"AWS::EC2::SecurityGroup":     "sg-",
	"AWS::EC2::SecurityGroupRule": "sgr-",
	"AWS::EC2::RouteTable":        "rtb-",
	"AWS::EC2::InternetGateway":   "igw-",
}

// identify gives a resource its id: what Ref returns. It is the name that the template gives, if it does.
func (s *Server) identify(stackName string, r *resource) {
	kind := s.spec[r.kind]
	identifier := kind.PrimaryIdentifier
	if len(kind.RefIdentifier) > 0 {
		identifier = kind.RefIdentifier
	}
	if len(identifier) == 1 {
		if name, named := r.properties[identifier[0]].(string); named {
			r.id = name
			return
		}
	}
	unique := s.id()
	if prefix, known := ec2Prefixes[r.kind]; known {
		r.id = prefix + unique
		return
	}
	name := fmt.Sprintf("%s-%s-%s", stackName, r.logicalID, unique[5:])
	parts := strings.Split(r.kind, "::")
	switch {
	case r.kind == "AWS::SQS::Queue":
		r.id = fmt.Sprintf("https://sqs.%s.amazonaws.com/%s/%s", Region, Account, name)
	case r.kind == "AWS::ECS::Service":
		r.id = fmt.Sprintf("arn:%s:ecs:%s:%s:service/%s/%s", partition, Region, Account, lastPart(fmt.Sprint(r.properties["Cluster"])), name)
	case r.kind == "AWS::SecretsManager::Secret", len(identifier) > 0 && strings.HasSuffix(identifier[0], "Arn"):
		r.id = fmt.Sprintf("arn:%s:%s:%s:%s:%s/%s", partition, strings.ToLower(parts[1]), Region, Account, strings.ToLower(parts[2]), name)
	default:
		r.id = name
	}
}

var place = regexp.MustCompile(`\$\{[A-Za-z]+\}`)

// attribute returns the value of an attribute: of the right kind and, for names and ARNs, the right form, and otherwise made up.
func (s *Server) attribute(r *resource, name string) any {
	if value, given := r.properties[name]; given {
		return value
	}
	kind := s.spec[r.kind]
	if name == "Ipv6CidrBlocks" {
		return []any{"2001:db8:1234:1a00::/56"} // of the size that Amazon gives
	}
	if kind.Attributes[name].Type.Name == "array" {
		return []any{r.id + "." + name}
	}
	switch {
	case name == "Arn" && kind.ARN != "":
		return place.ReplaceAllStringFunc(kind.ARN, func(place string) string {
			switch place {
			case "${Partition}":
				return partition
			case "${Region}":
				return Region
			case "${Account}":
				return Account
			}
			// Where the ARN has the name and Ref the URL, as with queues, the name is the last part.
			return lastPart(r.id)
		})
	case name == "DNSName":
		return strings.ToLower(r.logicalID) + "-0123456789abcdef.elb." + Region + "." + "amazonaws.com"
	case name == "RepositoryUri":
		return fmt.Sprintf("%s.dkr.ecr.%s.amazonaws.com/%s", Account, Region, r.id)
	case slices.Contains(kind.PrimaryIdentifier, name), strings.HasSuffix(name, "Id"), strings.HasSuffix(name, "Arn"), strings.HasSuffix(name, "Url"):
		return r.id
	case name == "Name", strings.HasSuffix(name, "Name"):
		return lastPart(r.id)
	}
	return r.id + "." + name
}

// problem says why AWS would not make or change a resource, "" when it would.
func (s *Server) problem(st *stack, r *resource) string {
	if i := slices.IndexFunc(s.failures, func(f failure) bool { return f.kind == r.kind }); i >= 0 {
		reason := s.failures[i].reason
		s.failures = slices.Delete(s.failures, i, i+1)
		return reason
	}
	// A service waits until its tasks run, which they do not without their image.
	if r.kind == "AWS::ECS::Service" {
		task := s.find("AWS::ECS::TaskDefinition", fmt.Sprint(r.properties["TaskDefinition"]))
		if task == nil {
			return fmt.Sprintf("Unable to describe task definition %v.", r.properties["TaskDefinition"])
		}
		containers, _ := task.properties["ContainerDefinitions"].([]any)
		for _, one := range containers {
			container, _ := one.(map[string]any)
			if problem := s.imageProblem(fmt.Sprint(container["Image"])); problem != "" {
				return problem
			}
		}
	}
	return ""
}

// user returns a resource that an EC2 resource cannot be deleted before, because it holds its id; "" where there is none.
func (s *Server) user(r *resource) string {
	if !strings.HasPrefix(r.kind, "AWS::EC2::") {
		return ""
	}
	for _, other := range s.all() {
		if other != r && holds(other.properties, r.id) {
			return other.id
		}
	}
	return ""
}

func holds(value any, text string) bool {
	switch v := value.(type) {
	case string:
		return v == text
	case []any:
		return slices.ContainsFunc(v, func(item any) bool { return holds(item, text) })
	case map[string]any:
		for _, item := range v {
			if holds(item, text) {
				return true
			}
		}
	}
	return false
}
