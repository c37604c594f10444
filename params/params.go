// Package params is the one place where the parameters of a fleet are declared: key, type, default, limits and help. Parsing, validation, error
// messages and the README's table all come from those declarations.
//
// A value arrives as CDK context: with its native JSON type from cdk.json, or as a string from "-c key=value". Values are rejected rather than
// corrected, and whatever was accepted holds no control bytes, so that it can be written into a configuration file.
package params

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"squidfleet/proxyimage/container"
	"squidfleet/squid"
)

// Params are the parameters of one fleet. [Parse] makes and checks them.
type Params struct {
	StackName           string                // prefix of the stacks' names
	ClientCidrs         []netip.Prefix        // who may connect; at least one, none inside another
	AllowAnyClient      bool                  // permits blocks in ClientCidrs that are wider than an organisation's
	Users               []string              // Digest user names; at least one
	Realm               string                // Digest realm
	Digest              squid.Digest          // who checks Digest
	Credentials         container.Credentials // how passwords reach the container
	ListenerPort        int                   // TCP port of the load balancer and of Squid
	HTTPPorts           []int                 // destination ports for plain HTTP; empty: no plain HTTP
	ConnectPorts        []int                 // destination ports for CONNECT; empty: no CONNECT
	BlockedCidrs        []netip.Prefix        // destinations refused in addition
	AllowedPrivateCidrs []netip.Prefix        // private destinations that are wanted
	FleetSize           int                   // tasks, each with an egress address of its own
	CPU                 int                   // Fargate CPU units, 1024 to a vCPU
	Memory              int                   // MiB, a size Fargate offers with CPU
	Architecture        Architecture          // of the task and of the image
	SpotShare           int                   // percent of the fleet on Fargate Spot
	RotateEvery         time.Duration         // whole minutes; 0: never
	DrainTimeout        time.Duration         // whole seconds
	VpcCidr             netip.Prefix          // of the fleet's own VPC; the zero Prefix when VpcID names an existing one
	VpcID               string                // an existing VPC; empty: the fleet gets its own
	LogRetentionDays    int                   // a value CloudWatch Logs offers
	Timezone            string                // IANA name
}

// Architecture is a processor architecture, as Fargate spells it in lower case.
type Architecture string

const (
	// X8664 is 64-bit Intel and AMD.
	X8664 Architecture = "x86_64"
	// ARM64 is Graviton.
	ARM64 Architecture = "arm64"
)

// GOARCH returns Go's name of the architecture, "amd64" or "arm64".
func (a Architecture) GOARCH() string {
	if a == ARM64 {
		return "arm64"
	}
	return "amd64"
}

// Parse reads the parameters from CDK context. A key that is missing has its default. CDK's own keys are passed over; any other key is an error.
//
// The error is of type [Errors] and tells everything that is wrong at once: parameters in the order of the table, then unknown keys by name.
// The Params are nil unless the error is.
func Parse(context map[string]any) (*Params, error) {
	p := new(Params)
	var errs Errors
	wrong := map[string]bool{}
	for _, parameter := range parameters {
		value, given := context[parameter.Key]
		if !given {
			value = parameter.Default
		}
		found := parameter.store(p, value)
		wrong[parameter.Key] = len(found) > 0
		errs = append(errs, found...)
	}
	for _, rule := range rules {
		// A rule about a value that is wrong in itself would only repeat, or invent, a complaint.
		if slices.ContainsFunc(rule.keys, func(key string) bool { return wrong[key] }) {
			continue
		}
		errs = append(errs, rule.check(p)...)
	}
	slices.SortStableFunc(errs, func(a, b Error) int { return cmp.Compare(position(a.Path), position(b.Path)) })
	errs = append(errs, unknownKeys(context)...)
	if len(errs) > 0 {
		return nil, errs
	}
	if p.VpcID != "" {
		p.VpcCidr = netip.Prefix{} // the default would be taken for the range of the existing VPC
	}
	return p, nil
}

// position returns where in the table the parameter of a path stands.
func position(path string) int {
	key, _, _ := strings.Cut(path, "[")
	return slices.IndexFunc(parameters, func(p parameter) bool { return p.Key == key })
}
