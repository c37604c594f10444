package main

import (
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"squidfleet/internal/operator"
	"squidfleet/internal/paste"
	"squidfleet/proxyimage/container"
	"squidfleet/squid"
)

func newCredentials(s *streams) *cobra.Command {
	var flags fleetFlags
	var user string
	var show bool
	cmd := &cobra.Command{
		Use:   "credentials",
		Short: "Show how to use the proxy",
		Long: `Show how to use the proxy: its endpoint, its users, and for each of them a curl
command, which asks for the password, the environment variables that programs take a
proxy from, and the proxy's URLs: the one that leads to any address, and those that
always lead to the same one. Then come the lines with which requests, undici, Go and
Playwright take the proxy from PROXY, or, with auth=digest, what helps those that have no
Digest.

Passwords are read, and written out, with --show-password only. With credentials=image
AWS knows neither passwords nor users, and with auth=none there are none.

With --json: endpoint, scheme (http or https), auth, try (a page that shows its caller's
address), source (where the passwords are), addresses (number, and host and port as proxy),
and users: each with user, password, proxy, addresses (number, and URL as proxy), curl and
environment. With auth=none the only user is "".`,
		Example: `  squidfleet credentials
  squidfleet credentials --user alice --show-password
  squidfleet credentials --user alice --show-password --json | jq -r '.users[0].addresses[].proxy'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("user") {
				if err := squid.CheckUser(user); err != nil {
					return usage("--user: %v", err)
				}
			}
			return flags.with(cmd, func(f *operator.Connection) error {
				c, err := f.Credentials(cmd.Context(), user, show)
				if err != nil {
					return err
				}
				return s.result(c, func() { s.credentials(c) })
			})
		},
	}
	flags.add(s, cmd, "ecs:ListServices", "ecs:DescribeServices", "ecs:DescribeTaskDefinition",
		"secretsmanager:GetSecretValue (with --show-password)")
	cmd.Flags().StringVar(&user, "user", "", "show this user only")
	cmd.Flags().BoolVar(&show, "show-password", false, "write the passwords out")
	return cmd
}

// credentials writes what a person can paste. Comments make the whole of it a shell script.
func (s *streams) credentials(c *operator.Credentials) {
	fmt.Fprintf(s.out, "# endpoint: %s\n", c.Endpoint)
	if c.Auth.Passwords() && c.Source == container.CredentialsImage {
		fmt.Fprintln(s.out, "# users and passwords: those the image was built with")
	}
	if len(c.Users) == 0 {
		s.addressProxies(c.Addresses)
	}
	for _, u := range c.Users {
		switch {
		case !c.Auth.Passwords():
			fmt.Fprintln(s.out, "\n# no password is asked for")
		case u.Password != "":
			// A line break would end the comment.
			fmt.Fprintf(s.out, "\n# user: %s\n# password: %s\n", u.Name, printable(u.Password))
		case c.Source != container.CredentialsImage:
			fmt.Fprintf(s.out, "\n# user: %s\n# password, environment variables: --show-password\n", u.Name)
		default:
			fmt.Fprintf(s.out, "\n# user: %s\n", u.Name)
		}
		if u.Curl != "" {
			if c.Auth.Passwords() && u.Password == "" {
				fmt.Fprintln(s.out, "# curl asks for the password, and mistakes one with % and two hex digits in it")
			}
			fmt.Fprintln(s.out, u.Curl)
		}
		for _, name := range slices.Sorted(maps.Keys(u.Environment)) {
			fmt.Fprintln(s.out, paste.Export(name, u.Environment[name]))
		}
		fmt.Fprintf(s.out, "# any address: %s\n", u.Proxy)
		s.addressProxies(u.Addresses)
	}
	fmt.Fprintln(s.out, "\n# Clients, with the proxy's URL in PROXY:")
	for _, line := range c.Way().Clients() {
		fmt.Fprintf(s.out, "# %s\n", line)
	}
}

func (s *streams) addressProxies(all []operator.AddressProxy) {
	for _, a := range all {
		fmt.Fprintf(s.out, "# always address %d: %s\n", a.Number, a.Proxy)
	}
}
