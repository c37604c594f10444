// Package params declares the parameters of a fleet: key, type, default, limits and help.
// Parsing, validation, error messages and the documents' table come from the declarations.
//
// A value is CDK context: with its native JSON type from cdk.json, or a string from "-c
// key=value". Wrong values are refused, not corrected. Accepted ones hold no control bytes and
// can be written into a configuration file.
package params

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"squidfleet/proxyimage/container"
	"squidfleet/squid"
)

// Params are the parameters of one fleet. [Parse] makes and checks them.
type Params struct {
	StackName             string                // prefix of the stacks' names
	ClientCidrs           []netip.Prefix        // who may connect; at least one, none inside another
	AllowAnyClient        bool                  // permits blocks in ClientCidrs that are wider than an organisation's
	ClientSecurityGroups  []string              // ids of groups whose members may connect
	Endpoint              Endpoint              // from where the load balancer can be reached
	PrivateLinkPrincipals []string              // ARNs of who may make endpoints; none: no endpoint service
	CertificateARN        string                // of the listeners; empty: none, or one for DomainName
	DomainName            string                // of the load balancer; empty: its own
	HostedZoneID          string                // where DomainName gets its records; empty: nowhere
	Auth                  squid.Auth            // what clients are asked for
	AllowPlaintextBasic   bool                  // permits Basic where the way in is not private
	Users                 []string              // user names; none with squid.AuthNone, otherwise at least one
	Realm                 string                // realm of the challenges
	Digest                squid.Digest          // who checks Digest
	Credentials           container.Credentials // how passwords reach the container
	ListenerPort          int                   // TCP port of the load balancer and of Squid
	AddressPorts          bool                  // whether address k has the port ListenerPort + k
	IdleTimeout           time.Duration         // of the load balancer's connections; whole seconds
	HTTPPorts             []int                 // destination ports for plain HTTP; empty: no plain HTTP
	ConnectPorts          []int                 // destination ports for CONNECT; empty: no CONNECT
	AllowedDomains        []string              // the only destinations, by name; empty: any
	BlockedDomains        []string              // destinations refused by name
	BlockedCidrs          []netip.Prefix        // destinations refused in addition
	AllowedPrivateCidrs   []netip.Prefix        // private destinations that are wanted
	FleetSize             int                   // egress addresses, each a service of one task
	CPU                   int                   // Fargate CPU units, 1024 to a vCPU
	Memory                int                   // MiB, a size Fargate offers with CPU
	Architecture          Architecture          // of the task and of the image
	SpotShare             int                   // percent of the fleet on Fargate Spot
	RotateEvery           time.Duration         // one of a few whole minutes; 0: never
	DrainTimeout          time.Duration         // whole seconds
	ActiveHours           ActiveHours           // when the addresses run, in Timezone
	VpcCidr               netip.Prefix          // of the fleet's own VPC; zero with VpcID
	Zones                 []string              // two names of zones of the fleet's own VPC, or none
	VpcID                 string                // an existing VPC; empty: the fleet gets its own
	LogRetentionDays      int                   // a value CloudWatch Logs offers
	Metrics               bool                  // whether tasks report their own figures
	AlarmEmail            string                // who gets alarms; empty: nobody
	AlarmTopicARN         string                // an existing topic that gets alarms; empty: none
	Dashboard             bool                  // whether there is a dashboard
	Timezone              string                // IANA name
	Tags                  []string              // key=value, each key once
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

// Parse reads the parameters from CDK context. A missing key has its default. The CDK's own keys
// are ignored; any other key is an error.
//
// The error is of type [Errors] and holds everything that is wrong: parameters in the order of
// the table, then unknown keys by name. The Params are nil if there is an error.
func Parse(context map[string]any) (*Params, error) {
	p := new(Params)
	var errs Errors
	wrong := map[string]bool{}
	for _, parameter := range parameters {
		value, given := context[parameter.key]
		if !given {
			value = parameter.initial
		}
		found := parameter.store(p, value)
		wrong[parameter.key] = len(found) > 0
		errs = append(errs, found...)
	}
	for _, parameter := range parameters {
		for _, rule := range parameter.rules {
			// A rule about a wrong value would repeat, or invent, a complaint.
			if !slices.ContainsFunc(rule.keys, func(key string) bool { return wrong[key] }) {
				rule.check(p, func(path, format string, arguments ...any) {
					errs = append(errs, Error{path, fmt.Sprintf(format, arguments...)})
				})
			}
		}
	}
	slices.SortStableFunc(errs, func(a, b Error) int { return cmp.Compare(position(a.Path), position(b.Path)) })
	errs = append(errs, unknownKeys(context)...)
	if len(errs) > 0 {
		return nil, errs
	}
	if p.VpcID != "" {
		p.VpcCidr = netip.Prefix{} // the default is not the range of the existing VPC
	}
	if !p.Auth.Passwords() {
		p.Users = nil // the default is nobody's name
	}
	return p, nil
}

// position returns the place in the table of a path's parameter.
func position(path string) int {
	key, _, _ := strings.Cut(path, "[")
	return slices.Index(Keys(), key)
}
