package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"squidfleet/internal/local"
	"squidfleet/internal/paste"
	"squidfleet/params"
	"squidfleet/proxyimage"
	"squidfleet/proxyimage/container"
	"squidfleet/squid"
)

// localFlags are the flags of squidfleet local.
type localFlags struct {
	context            []string
	tasks, zones, port int
	rotateEvery        string
	speed              float64
	tls                bool

	tasksGiven, portGiven bool
}

// defaultTasks is more than the two of fleetSize, to show better that addresses change.
const defaultTasks = 3

// Limits of --speed: slower than AWS shows nothing, and beyond 60 a busy machine's hiccups take
// longer than the times.
const (
	speedMin = 1
	speedMax = 60
)

func newLocal(s *streams) *cobra.Command {
	var flags localFlags
	cmd := &cobra.Command{
		Use:   "local",
		Short: "Run a fleet on this machine, without AWS",
		Long: `Run a fleet on this machine, without AWS: real Squids, made from the parameters in
cdk.json as the image would be, each with an address of its own (127.77.1.1 and on),
behind a stand-in for the Network Load Balancer on 127.0.0.1, with a web server that
answers with the address that asked it. The load balancer's port leads to any address,
and the k-th port after it always to address k. It says what to paste, and shows the
addresses until Ctrl-C ends everything.

Type a line to change addresses, at the terminal or into standard input:
  rotate 3 5   replace the tasks of addresses 3 and 5; rotate alone: of all at once
  stop 3       stop address 3: its port refuses connections
  start 3      start it again

It refuses all destinations that a fleet on AWS refuses, except that one server. Public
destinations are asked from this machine's own address.

AWS's times (health checks, drainTimeout, the load balancer's delays) are divided by
--speed. Passwords are generated, or with credentials=image taken from the same
environment variables as at synth.

It needs Linux, Go and Squid, and no privileges.`,
		Example: `  squidfleet local
  squidfleet local --rotate-every 20s
  squidfleet local --tasks 5 -c users=alice,bob -c blockedCidrs=151.101.0.0/16
  squidfleet local --speed 1 --rotate-every off
  squidfleet local --tls
  squidfleet local --json | jq -r 'select(.event == "serving") | .port, .task.address'`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			flags.tasksGiven, flags.portGiven = cmd.Flags().Changed("tasks"), cmd.Flags().Changed("port")
			return s.local(cmd.Context(), flags)
		},
	}
	f := cmd.Flags()
	addContext(cmd, &flags.context)
	f.IntVar(&flags.tasks, "tasks", 0,
		fmt.Sprintf("how many addresses, each with a task, 1 to %d (default: fleetSize if -c gives one, "+
			"1 with digest=squid, otherwise %d)", local.MaxAddresses, defaultTasks))
	f.IntVar(&flags.zones, "zones", 2,
		fmt.Sprintf("how many zones the load balancer has a node in, 1 to %d", local.MaxZones))
	f.IntVar(&flags.port, "port", 0,
		"the common port on 127.0.0.1, before those of the addresses (default: listenerPort)")
	f.StringVar(&flags.rotateEvery, "rotate-every", "",
		"how often to rotate each address, one after the other, or off (default: the parameter rotateEvery "+
			"divided by --speed)")
	f.Float64Var(&flags.speed, "speed", 30,
		fmt.Sprintf("how many times faster than on AWS, %d to %d", speedMin, speedMax))
	f.BoolVar(&flags.tls, "tls", false,
		"speak TLS with clients, as with certificateArn; the certificate's CA is made anew each time")
	f.BoolVar(&s.asJSON, "json", false, "write what happens as JSON, one object a line")
	return cmd
}

// addContext adds the CDK's flag for parameters.
func addContext(cmd *cobra.Command, context *[]string) {
	cmd.Flags().StringArrayVarP(context, "context", "c", nil,
		"a parameter as KEY=VALUE, instead of cdk.json's; may be repeated")
}

// parameters reads those of cdk.json, with others from the command line.
func parameters(context []string) (*params.Params, error) {
	values, err := local.Context("cdk.json", context)
	if err != nil {
		return nil, err
	}
	return params.Parse(values)
}

// localPlan is what the flags and the parameters come to.
type localPlan struct {
	options  local.Options
	every    time.Duration // 0: never
	speed    float64
	warnings []string
}

func (flags localFlags) plan() (localPlan, error) {
	var plan localPlan
	if flags.tasksGiven && (flags.tasks < 1 || flags.tasks > local.MaxAddresses) {
		return plan, usage("--tasks %d: must be from 1 to %d", flags.tasks, local.MaxAddresses)
	}
	if flags.zones < 1 || flags.zones > local.MaxZones {
		return plan, usage("--zones %d: must be from 1 to %d", flags.zones, local.MaxZones)
	}
	if !(flags.speed >= speedMin && flags.speed <= speedMax) { // NaN is neither
		return plan, usage("--speed %v: must be from %d to %d", flags.speed, speedMin, speedMax)
	}
	p, err := parameters(flags.context)
	if err != nil {
		return plan, err
	}
	if p.FleetSize, err = flags.fleetSize(p); err != nil {
		return plan, err
	}
	passwords, err := localPasswords(p)
	if err != nil {
		return plan, err
	}
	timing := local.AWS(p).Faster(flags.speed)
	every := time.Duration(float64(p.RotateEvery) / flags.speed)
	switch flags.rotateEvery {
	case "":
	case "off":
		every = 0
	default:
		if every, err = time.ParseDuration(flags.rotateEvery); err != nil || every <= 0 {
			return plan, usage("--rotate-every %s: is not a duration such as 20s, or off", flags.rotateEvery)
		}
	}
	if least := timing.Rotation(); every != 0 && every < least {
		return plan, usage(
			"--rotate-every %v: is over before a rotation may be, which takes up to %v at --speed %v; rotate "+
				"less often, or give a higher --speed or a shorter -c drainTimeout", every,
			least.Round(time.Second/10), flags.speed)
	}
	port := p.ListenerPort
	if flags.portGiven {
		port = flags.port
	}
	if most := 65535 - p.FleetSize; port < 1 || port > most {
		return plan, usage("--port %d: must be from 1 to %d: the ports of %d addresses follow it", port, most,
			p.FleetSize)
	}
	return localPlan{
		options: local.Options{
			Params: p, Passwords: passwords, Addresses: p.FleetSize, Zones: flags.zones, Port: port, Timing: timing,
			TLS: flags.tls,
		},
		every: every,
		speed: flags.speed,
		// The others are about clients elsewhere.
		warnings: slices.DeleteFunc(p.Warnings(), func(w string) bool { return !strings.HasPrefix(w, "digest: ") }),
	}, nil
}

// fleetSize is how many addresses there are to be. That of cdk.json is no wish for this machine.
func (flags localFlags) fleetSize(p *params.Params) (int, error) {
	given := slices.ContainsFunc(flags.context, func(c string) bool { return strings.HasPrefix(c, "fleetSize=") })
	switch {
	case flags.tasksGiven:
		return flags.tasks, nil
	case given && p.FleetSize > local.MaxAddresses:
		return 0, usage("-c fleetSize=%d: this machine runs at most %d addresses; give fewer, or --tasks", p.FleetSize,
			local.MaxAddresses)
	case given:
		return p.FleetSize, nil
	case p.Digest == squid.DigestSquid: // It is for a fleet of one.
		return 1, nil
	}
	return defaultTasks, nil
}

// localPasswords are generated, as AWS would, or those that the image would be built with.
func localPasswords(p *params.Params) ([]squid.Credential, error) {
	all, err := proxyimage.Passwords(p, os.Environ())
	if p.Credentials != container.CredentialsImage {
		for _, user := range p.Users {
			all = append(all, squid.Credential{User: user, Password: rand.Text()})
		}
	}
	return all, err
}

// local runs a fleet until ctx ends, which is how it is meant to end.
func (s *streams) local(ctx context.Context, flags localFlags) (err error) {
	plan, err := flags.plan()
	if err != nil {
		return err
	}
	origin, err := local.StartOrigin(nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, origin.Close()) }()
	screen := &localScreen{s: s, screen: screen{size: terminalSize}}
	plan.options.Origin = origin.Address
	plan.options.Report = screen.event
	for _, warning := range plan.warnings {
		fmt.Fprintf(s.err, "warning: %s\n", warning)
	}
	fmt.Fprintf(s.err, "compiling the entrypoint (the first time takes a while) and starting %d tasks\n",
		plan.options.Addresses)
	fleet, err := local.Start(ctx, plan.options)
	if errors.Is(err, context.Canceled) {
		return nil // It is how it is meant to end, before it has begun as well.
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fleet.Close()) }()
	if err := screen.ready(welcome(fleet, origin, plan)); err != nil {
		return err
	}
	if plan.every > 0 {
		fleet.Schedule(plan.every)
	}
	return screen.watch(ctx, fleet, os.Stdin)
}

// localUser is a user and where the password is: the image's is a real one and is not written out.
type localUser struct {
	squid.Credential
	variable string // of the environment, with the password
}

// via is how curl goes through the proxy as this user, or as nobody.
func (u localUser) via(way paste.Way, endpoint string) paste.Via {
	switch {
	case u.User == "":
		return way.Open(endpoint)
	case u.variable != "":
		return way.WithVariable(endpoint, u.User, u.variable)
	}
	return way.WithPassword(endpoint, u.User, u.Password)
}

// relay is the line that puts a relay before the fleet, with this user's password.
func (u localUser) relay(way paste.Way, endpoint string, addresses int) string {
	password := paste.Word(u.Password)
	if u.variable != "" {
		password = `"$` + u.variable + `"`
	}
	line, user := passwordVariable+"="+password+" ", url.User(u.User)
	if u.User == "" {
		line, user = "", nil
	}
	line += "squidfleet relay --proxy " + paste.Word(fmt.Sprintf("%s?addresses=%d", way.URL(endpoint, user), addresses))
	if way.CA != "" {
		line += " --ca " + paste.Word(way.CA)
	}
	return line
}

// localWelcome is what a user needs.
type localWelcome struct {
	Event    string `json:"event"` // "ready"
	Endpoint string `json:"endpoint"`
	Origin   string `json:"origin"`
	// CA is the file of the CA that clients must trust, with --tls.
	CA        string            `json:"ca,omitempty"`
	Passwords map[string]string `json:"passwords"`
	// PasswordVariables are there instead of Passwords with credentials=image.
	PasswordVariables map[string]string `json:"passwordVariables,omitempty"`
	// Curl asks at the common port, CurlAddress at that of the first address.
	Curl        string         `json:"curl"`
	CurlAddress string         `json:"curlAddress"`
	Relay       string         `json:"relay"` // the command that puts a relay before the fleet
	Addresses   []localAddress `json:"addresses"`
	Speed       float64        `json:"speed"`
	RotateEvery string         `json:"rotateEvery"`

	users []localUser
}

// localAddress is where clients get an address.
type localAddress struct {
	Number int `json:"number"`
	Port   int `json:"port"`
}

func welcome(fleet *local.Fleet, origin *local.Origin, plan localPlan) localWelcome {
	w := localWelcome{
		Event:             "ready",
		Endpoint:          fleet.Endpoint.String(),
		CA:                fleet.CA,
		Origin:            "http://" + origin.Address.String() + "/",
		Passwords:         map[string]string{},
		PasswordVariables: map[string]string{},
		Speed:             plan.speed,
		RotateEvery:       "off",
	}
	if plan.every > 0 {
		w.RotateEvery = plan.every.String()
	}
	p := plan.options.Params
	for _, c := range plan.options.Passwords {
		u := localUser{Credential: c}
		if p.Credentials == container.CredentialsImage {
			u.variable = squid.PasswordVariable(c.User)
			if _, set := os.LookupEnv(u.variable); !set {
				u.variable = proxyimage.PasswordVariable
			}
			w.PasswordVariables[c.User] = u.variable
		} else {
			w.Passwords[c.User] = c.Password
		}
		w.users = append(w.users, u)
	}
	for number := 1; number <= plan.options.Addresses; number++ {
		w.Addresses = append(w.Addresses, localAddress{number, int(fleet.EndpointOf(number).Port())})
	}
	way := paste.Way{Auth: p.Auth, TLS: w.CA != "", CA: w.CA}
	first := append(slices.Clone(w.users), localUser{})[0] // with auth=none there is none
	w.Relay = first.relay(way, w.Endpoint, plan.options.Addresses)
	curl := func(endpoint string) string {
		// Without --noproxy, a NO_PROXY that names 127.0.0.0/8 would have curl go around the proxy.
		return paste.Curl(first.via(way, endpoint), w.Origin, "-sS", "--noproxy", "''")
	}
	w.Curl, w.CurlAddress = curl(w.Endpoint), curl(fleet.EndpointOf(1).String())
	return w
}
