package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	// Where there is no system, as in a container, there are no authorities either.
	_ "golang.org/x/crypto/x509roots/fallback"

	"squidfleet/internal/operator"
	"squidfleet/internal/relay"
	"squidfleet/squid"
)

type relayFlags struct {
	fleetFlags
	listen         string
	proxies        []string
	passwordFiles  []string
	ca             string
	allow          []string
	stackNames     []string
	regions        []string
	user           string
	health         bool
	plaintextBasic bool
	relay.Options
}

// refreshEvery is how often AWS is asked for fleets, addresses and passwords. The relay serves on
// with what it has while AWS does not answer.
const refreshEvery = 5 * time.Minute

func newRelay(s *streams) *cobra.Command {
	var flags relayFlags
	cmd := &cobra.Command{
		Use:   "relay",
		Short: "Run a local proxy without a password in front of fleets",
		Long: `Run a local proxy without a password in front of fleets, for programs that cannot do
Digest, or TLS to a proxy. It keeps the password and adds it to each request.

Fleets are found in AWS by --stack-name and --region, each of which may be repeated, and
asked for again every five minutes. Or they are named with --proxy, which needs no AWS:

  http://USER@HOST:PORT, or https
      its password is in SQUIDFLEET_PASSWORD, or in a file of --password-file: one for
      all fleets, or one for each in their order
  http://USER@HOST:PORT?addresses=5&name=eu
      addresses: how many of the ports behind PORT lead to one address each
      name: what sessions call this fleet

A client that gives a user name has a session of that name: http://cart-42@127.0.0.1:3128,
with any password or none. The same name goes to the same address, through that address's
own port, also when the address gets a new value. cart-42.eu limits it to the fleet or
region eu. Without a name each connection goes to any address. Some programs, Java and
Chromium among them, send the name only when asked: --require-session asks all clients.

http://relay.squidfleet/ through the relay shows fleets, ports and sessions as JSON;
/healthz answers while it runs.`,
		Example: `  squidfleet relay
  squidfleet relay --region eu-west-1 --region us-east-1
  SQUIDFLEET_PASSWORD=… squidfleet relay --proxy 'http://proxy@127.0.0.1:35201?addresses=3'
  curl --proxy http://cart-42@127.0.0.1:3128 https://checkip.amazonaws.com`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if flags.health {
				return checkHealth(cmd.Context(), flags.listen)
			}
			return s.relay(cmd, &flags)
		},
	}
	f := cmd.Flags()
	f.StringVar(&flags.listen, "listen", "127.0.0.1:3128", "where to listen; beyond loopback it needs --allow")
	f.StringArrayVar(&flags.allow, "allow", nil, "a block of addresses of clients on other machines; may be repeated")
	f.StringArrayVar(&flags.proxies, "proxy", nil, "a fleet's URL, instead of asking AWS; may be repeated")
	f.StringArrayVar(&flags.passwordFiles, "password-file", nil, "a file with the password; may be repeated")
	f.StringVar(&flags.ca, "ca", "", "a file with the authorities of https fleets (PEM), instead of the system's")
	f.BoolVar(&flags.RequireSession, "require-session", false, "ask each client for a session (407)")
	f.BoolVar(&flags.Failover, "failover", false, "send a session to another address while its own is not served")
	f.BoolVar(&flags.plaintextBasic, "plaintext-basic", false,
		"answer Basic without TLS, which shows the password to the network (with auth=basic in AWS: on)")
	f.IntVar(&flags.MaxConnections, "max-connections", 1000, "how many clients' connections may be open at a time")
	f.DurationVar(&flags.Drain, "drain", 20*time.Second, "how long connections may go on after SIGTERM")
	f.StringArrayVar(&flags.stackNames, "stack-name", []string{"Squidfleet"},
		"a fleet's parameter stackName; may be repeated")
	f.StringArrayVar(&flags.regions, "region", nil, "an AWS region (default: as for the AWS CLI); may be repeated")
	f.StringVar(&flags.Profile, "profile", "", "AWS profile (default: as for the AWS CLI)")
	f.StringVar(&flags.user, "user", "", "the fleets' user, of those in AWS (default: the first)")
	f.BoolVar(&flags.health, "health", false, "ask the relay at --listen whether it runs, and end")
	f.BoolVar(&s.asJSON, "json", false, "write what happens as JSON, one object a line")
	needs(cmd, findFleet, "ecs:ListServices", "ecs:DescribeServices", "ecs:DescribeTaskDefinition",
		"secretsmanager:GetSecretValue")
	return cmd
}

// relay runs a relay until the command's context ends, which is how it is meant to end.
func (s *streams) relay(cmd *cobra.Command, flags *relayFlags) error {
	ctx := cmd.Context()
	if err := flags.read(); err != nil {
		return err
	}
	find := flags.inAWS
	if len(flags.proxies) > 0 {
		find = flags.named
	}
	fleets, err := find(cmd)
	if err != nil {
		return err
	}
	flags.Report = s.relayEvent()
	server, err := relay.Listen(flags.listen, flags.Options, fleets)
	if err != nil {
		return err
	}
	if s.asJSON {
		ready := struct {
			Event string `json:"event"`
			relay.Status
		}{"ready", server.Status()}
		if err := s.json(ready, ""); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(s.err, "The relay listens on %s, for %s.\n", server.Addr(), listOf(fleets))
	}
	if len(flags.proxies) == 0 {
		go s.refresh(cmd, flags, server)
	}
	return server.Serve(ctx)
}

func listOf(fleets []relay.Fleet) string {
	var all []string
	for _, f := range fleets {
		all = append(all, fmt.Sprintf("%s (%d addresses)", f.String(), len(f.Addresses)))
	}
	return strings.Join(all, ", ")
}

// relayEvent returns how to show events: all of them as JSON, or troubles for people.
func (s *streams) relayEvent() func(relay.Event) {
	last := ""
	return func(e relay.Event) {
		switch {
		case s.asJSON:
			s.json(e, "")
		case e.Kind == relay.Trouble && e.Error != last:
			// A fleet that is down is told once, and not for each request.
			last = e.Error
			fmt.Fprintf(s.err, "%s: %s\n", e.Fleet, e.Error)
		case e.Kind == relay.Draining:
			fmt.Fprintln(s.err, "ending: open connections may finish")
		}
	}
}

func (s *streams) refresh(cmd *cobra.Command, flags *relayFlags, server *relay.Server) {
	for ctx := cmd.Context(); ; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(refreshEvery):
		}
		fleets, err := flags.inAWS(cmd)
		if err == nil {
			err = server.SetFleets(fleets)
		}
		if err != nil && ctx.Err() == nil {
			flags.Report(relay.Event{Time: time.Now(), Kind: relay.Trouble, Fleet: "AWS", Error: err.Error()})
		}
	}
}

func (flags *relayFlags) read() error {
	for _, text := range flags.allow {
		prefix, err := netip.ParsePrefix(text)
		if err != nil || prefix != prefix.Masked() {
			return usage("--allow %s: is not a block such as 10.0.0.0/24", text)
		}
		flags.Allow = append(flags.Allow, prefix)
	}
	if flags.MaxConnections < 1 {
		return usage("--max-connections %d: must be at least 1", flags.MaxConnections)
	}
	if len(flags.passwordFiles) > 1 && len(flags.passwordFiles) != len(flags.proxies) {
		return usage("--password-file: there are %d for %d --proxy; give one for all, or one for each",
			len(flags.passwordFiles), len(flags.proxies))
	}
	if flags.ca == "" {
		return nil
	}
	pem, err := os.ReadFile(flags.ca)
	if err != nil {
		return err
	}
	flags.Roots = x509.NewCertPool()
	if !flags.Roots.AppendCertsFromPEM(pem) {
		return usage("--ca %s: has no certificate", flags.ca)
	}
	return nil
}

func (flags *relayFlags) named(*cobra.Command) (fleets []relay.Fleet, err error) {
	for i, text := range flags.proxies {
		f, err := relay.ParseFleet(text)
		if err != nil {
			return nil, usage("--proxy: the URL %v", err)
		}
		f.PlaintextBasic = flags.plaintextBasic
		if f.User != "" {
			if f.Password, err = flags.password(i); err != nil {
				return nil, err
			}
			if f.Password == "" {
				return nil, usage("no password for %s: set %s, or name a file with --password-file", f.String(),
					passwordVariable)
			}
		}
		fleets = append(fleets, f)
	}
	return fleets, nil
}

// passwordVariable holds the password, as a file of --password-file does.
const passwordVariable = "SQUIDFLEET_PASSWORD"

// password is that of the fleet with an index, or "" if none is given.
func (flags *relayFlags) password(i int) (string, error) {
	if len(flags.passwordFiles) == 0 {
		return os.Getenv(passwordVariable), nil
	}
	name := flags.passwordFiles[min(i, len(flags.passwordFiles)-1)]
	text, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	password := strings.TrimRight(string(text), "\r\n")
	if password == "" {
		return "", usage("--password-file %s: is empty", name)
	}
	return password, nil
}

// inAWS returns the fleets that AWS knows by name.
func (flags *relayFlags) inAWS(cmd *cobra.Command) (fleets []relay.Fleet, err error) {
	password, err := flags.password(0)
	if err != nil {
		return nil, err
	}
	regions := flags.regions
	if len(regions) == 0 {
		regions = []string{""}
	}
	for _, name := range flags.stackNames {
		for _, region := range regions {
			one := fleetFlags{Options: operator.Options{StackName: name, Region: region, Profile: flags.Profile,
				Poll: pollMin}}
			err := one.with(cmd, func(c *operator.Connection) error {
				f, err := fleetOf(cmd.Context(), c, flags.user, password)
				f.PlaintextBasic = f.PlaintextBasic || flags.plaintextBasic
				fleets = append(fleets, f)
				return err
			})
			if err != nil {
				return nil, err
			}
		}
	}
	return fleets, nil
}

// fleetOf is a fleet in AWS. Without a user it is the first one's; without a password it is AWS's.
func fleetOf(ctx context.Context, c *operator.Connection, user, password string) (f relay.Fleet, err error) {
	known, err := c.Credentials(ctx, user, false)
	if err != nil {
		return f, err
	}
	if len(known.Users) == 0 {
		return f, usage("%s has its passwords in the image: give --user, and its password in %s or with "+
			"--password-file", c.Name, passwordVariable)
	}
	first := known.Users[0]
	if f, err = relay.ParseFleet(first.Proxy); err != nil {
		return f, err
	}
	for _, a := range first.Addresses {
		own, err := relay.ParseFleet(a.Proxy)
		if err != nil {
			return f, err
		}
		f.Addresses = append(f.Addresses, relay.Address{Number: a.Number, Port: own.Port})
	}
	f.Name, f.Region, f.Password = c.Name, c.Region, password
	// Synth has asked the person who deployed it whether Basic may go without TLS.
	f.PlaintextBasic = known.Auth == squid.AuthBasic
	// Only this user's secret is read.
	if first.Name != "" && password == "" {
		if known, err = c.Credentials(ctx, first.Name, true); err != nil {
			return f, err
		}
		f.Password = known.Users[0].Password
	}
	return f, nil
}

func checkHealth(ctx context.Context, listen string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+listen+"/healthz", nil)
	if err != nil {
		return usage("--listen %s: %v", listen, err)
	}
	// The environment may name the relay itself as the proxy.
	response, err := (&http.Transport{}).RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 100))
	if err == nil && (response.StatusCode != http.StatusOK || string(text) != "ok\n") {
		err = errors.New("it answers " + response.Status)
	}
	return err
}
