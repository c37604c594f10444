// Package cfnspec reads CloudFormation's resource specification as the CDK's command line carries
// it: the types of resources, their properties and attributes, and which properties replace the
// resource when they change. By the same data, "cdk diff" says "requires replacement".
package cfnspec

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// Database is where the CLI's npm package keeps the specification.
const Database = "node_modules/aws-cdk/db.json.gz"

// Spec is the specification: resource types by name, for example "AWS::ECS::Service".
type Spec map[string]*Type

// Type describes a type of resource.
type Type struct {
	Name string `json:"cloudFormationType"`
	// Properties are those of the first level.
	Properties map[string]Property `json:"properties"`
	// Attributes are what Fn::GetAtt can ask for.
	Attributes map[string]Attribute `json:"attributes"`
	// PrimaryIdentifier are the properties or attributes that tell a resource from others of its type.
	PrimaryIdentifier []string `json:"primaryIdentifier"`
}

// Property describes a property.
type Property struct {
	// Replaces says what a change does to the resource.
	Replaces Replacement `json:"causesReplacement"`
}

// Attribute describes an attribute.
type Attribute struct {
	Type struct {
		Name string `json:"type"` // "string", "array", ...
	} `json:"type"`
}

// Replacement says whether the change of a property replaces the resource by a new one.
type Replacement string

const (
	// Never: the resource is changed in place.
	Never Replacement = ""
	// Always: CloudFormation makes a new resource and then deletes the old one.
	Always Replacement = "yes"
	// Sometimes: it depends on the values.
	Sometimes Replacement = "maybe"
)

// Load reads the specification of the CLI that is installed in node_modules below root.
func Load(root string) (Spec, error) {
	path := filepath.Join(root, Database)
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: run npm ci", err)
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var database struct {
		Schema struct {
			Resource struct {
				Entities []*Type `json:"entities"`
			} `json:"resource"`
		} `json:"schema"`
	}
	if err := json.NewDecoder(unzipped).Decode(&database); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	spec := Spec{}
	for _, t := range database.Schema.Resource.Entities {
		spec[t.Name] = t
	}
	return spec, nil
}
