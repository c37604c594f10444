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

// localPlan is what the flags of squidfleet local and the parameters come to.
type localPlan struct {
	context               []string
	tasks                 int
	rotateEvery           string
	speed                 float64
	tasksGiven, portGiven bool

	// options has what flags say; read adds the rest.
	options  local.Options
	every    time.Duration // 0: never
	warnings []string
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
	var plan localPlan
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
		RunE: func(cmd *cobra.Command, _ []string) error {
			plan.tasksGiven, plan.portGiven = cmd.Flags().Changed("tasks"), cmd.Flags().Changed("port")
			return s.local(cmd.Context(), plan)
		},
	}
	f := cmd.Flags()
	addContext(cmd, &plan.context)
	f.IntVar(&plan.tasks, "tasks", 0,
		fmt.Sprintf("how many addresses, each with a task, 1 to %d (default: fleetSize if -c gives one, "+
			"1 with digest=squid, otherwise %d)", local.MaxAddresses, defaultTasks))
	f.IntVar(&plan.options.Zones, "zones", 2,
		fmt.Sprintf("how many zones the load balancer has a node in, 1 to %d", local.MaxZones))
	f.IntVar(&plan.options.Port, "port", 0,
		"the common port on 127.0.0.1, before those of the addresses (default: listenerPort)")
	f.StringVar(&plan.rotateEvery, "rotate-every", "",
		"how often to rotate each address, one after the other, or off (default: the parameter rotateEvery "+
			"divided by --speed)")
	f.Float64Var(&plan.speed, "speed", 30,
		fmt.Sprintf("how many times faster than on AWS, %d to %d", speedMin, speedMax))
	f.BoolVar(&plan.options.TLS, "tls", false,
		"speak TLS with clients, as with certificateArn; the certificate's CA is made anew each time")
	f.BoolVar(&s.asJSON, "json", false, "write what happens as JSON, one object a line")
	return cmd
}

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

// read reads the parameters, and checks the flags against them.
func (plan *localPlan) read() (err error) {
	o := &plan.options
	if plan.tasksGiven && (plan.tasks < 1 || plan.tasks > local.MaxAddresses) {
		return usage("--tasks %d: must be from 1 to %d", plan.tasks, local.MaxAddresses)
	}
	if o.Zones < 1 || o.Zones > local.MaxZones {
		return usage("--zones %d: must be from 1 to %d", o.Zones, local.MaxZones)
	}
	if !(plan.speed >= speedMin && plan.speed <= speedMax) { // NaN is neither
		return usage("--speed %v: must be from %d to %d", plan.speed, speedMin, speedMax)
	}
	if o.Params, err = parameters(plan.context); err != nil {
		return err
	}
	if o.Addresses, err = plan.addresses(o.Params); err != nil {
		return err
	}
	o.Params.FleetSize = o.Addresses
	if o.Passwords, err = localPasswords(o.Params); err != nil {
		return err
	}
	o.Timing = local.AWS(o.Params).Faster(plan.speed)
	switch plan.rotateEvery {
	case "":
		plan.every = time.Duration(float64(o.Params.RotateEvery) / plan.speed)
	case "off":
	default:
		if plan.every, err = time.ParseDuration(plan.rotateEvery); err != nil || plan.every <= 0 {
			return usage("--rotate-every %s: is not a duration such as 20s, or off", plan.rotateEvery)
		}
	}
	if least := o.Timing.Rotation(); plan.every != 0 && plan.every < least {
		return usage("--rotate-every %v: is over before a rotation may be, which takes up to %v at --speed %v; rotate "+
			"less often, or give a higher --speed or a shorter -c drainTimeout", plan.every,
			least.Round(time.Second/10), plan.speed)
	}
	if !plan.portGiven {
		o.Port = o.Params.ListenerPort
	}
	if most := 65535 - o.Addresses; o.Port < 1 || o.Port > most {
		return usage("--port %d: must be from 1 to %d: the ports of %d addresses follow it", o.Port, most, o.Addresses)
	}
	// The others are about clients elsewhere.
	plan.warnings = slices.DeleteFunc(o.Params.Warnings(),
		func(w string) bool { return !strings.HasPrefix(w, "digest: ") })
	return nil
}

// addresses is how many there are to be. The fleetSize of cdk.json is no wish for this machine.
func (plan *localPlan) addresses(p *params.Params) (int, error) {
	given := slices.ContainsFunc(plan.context, func(c string) bool { return strings.HasPrefix(c, "fleetSize=") })
	switch {
	case plan.tasksGiven:
		return plan.tasks, nil
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
func (s *streams) local(ctx context.Context, plan localPlan) (err error) {
	if err := plan.read(); err != nil {
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
