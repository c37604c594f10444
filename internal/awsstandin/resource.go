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

// Resource is what a stack has made.
type Resource struct {
	Stack, LogicalID, Type string
	// ID is what Ref returns.
	ID string
	// Properties are worked out: there is no function in them.
	Properties map[string]any
}

// Resources returns what the stacks have made of a type and not deleted, or of all types for "", by
// stack and logical id.
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

// find returns the resource of a type and id, nil where there is none.
func (s *Server) find(kind, id string) *resource {
	for _, st := range s.stacks {
		for _, r := range st.resources {
			if r.kind == kind && r.id == id {
				return r
			}
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

// identify gives a resource its id, which Ref returns: the name that the template gives, if it
// does.
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
		cluster := lastPart(fmt.Sprint(r.properties["Cluster"]))
		r.id = fmt.Sprintf("arn:%s:ecs:%s:%s:service/%s/%s", partition, Region, Account, cluster, name)
	case r.kind == "AWS::SecretsManager::Secret", len(identifier) > 0 && strings.HasSuffix(identifier[0], "Arn"):
		service, kind := strings.ToLower(parts[1]), strings.ToLower(parts[2])
		r.id = fmt.Sprintf("arn:%s:%s:%s:%s:%s/%s", partition, service, Region, Account, kind, name)
	default:
		r.id = name
	}
}

var place = regexp.MustCompile(`\$\{[A-Za-z]+\}`)

// attribute returns the value of an attribute: of the right kind and, for names and ARNs, of the
// right form; otherwise it is made up.
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
			// Where the ARN has the name and Ref the URL, as with queues, the name is the last
			// part.
			return lastPart(r.id)
		})
	case name == "DNSName":
		return strings.ToLower(r.logicalID) + "-0123456789abcdef.elb." + Region + "." + "amazonaws.com"
	case name == "RepositoryUri":
		return fmt.Sprintf("%s.dkr.ecr.%s.amazonaws.com/%s", Account, Region, r.id)
	case slices.Contains(kind.PrimaryIdentifier, name), strings.HasSuffix(name, "Id"), strings.HasSuffix(name, "Arn"),
		strings.HasSuffix(name, "Url"):
		return r.id
	case name == "Name", strings.HasSuffix(name, "Name"):
		return lastPart(r.id)
	}
	return r.id + "." + name
}

// checkImages returns an error unless the image of a service's tasks is in the registry: ECS waits
// until the tasks run.
func (s *Server) checkImages(service *resource) error {
	task := s.find("AWS::ECS::TaskDefinition", fmt.Sprint(service.properties["TaskDefinition"]))
	if task == nil {
		return invalid("Unable to describe task definition %v.", service.properties["TaskDefinition"])
	}
	for _, one := range listOf(task.properties["ContainerDefinitions"]) {
		container, _ := one.(map[string]any)
		if err := s.checkImage(fmt.Sprint(container["Image"])); err != nil {
			return err
		}
	}
	return nil
}

// lastPart returns what follows the last slash.
func lastPart(id string) string { return id[strings.LastIndex(id, "/")+1:] }
