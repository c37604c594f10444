package params

import (
	"slices"

	"squidfleet/proxyimage/container"
	"squidfleet/squid"
)

// privateWayIn reports whether nobody on the way between a client and the load balancer can read
// or change what they say.
func (p *Params) privateWayIn() bool { return p.TLS() || p.Endpoint == EndpointInternal }

// plainBasic reports whether somebody on the way can read passwords, or can make clients show them.
func (p *Params) plainBasic() bool { return p.Auth.Basic() && !p.privateWayIn() }

func readableBasic(p *Params, refuse refusal) {
	if !p.plainBasic() || p.AllowPlaintextBasic {
		return
	}
	why := "has clients send their passwords in the clear, to be read by anybody on the way to the load balancer"
	if p.Auth == squid.AuthAny {
		why = "lets anybody who can change the traffic on the way to the load balancer ask for Basic, and read the " +
			"passwords"
	}
	refuse("auth", "%s %s; give digest, or TLS by domainName or certificateArn, or endpoint=internal; or set "+
		"allowPlaintextBasic=true if you mean it", p.Auth, why)
}

// onlyDigest refuses what Squid itself does not check as our helper does.
func onlyDigest(p *Params, refuse refusal) {
	if p.Digest == squid.DigestSquid && p.Auth != squid.AuthDigest {
		refuse("digest", "squid goes with auth=digest only; give fleet, or auth=digest instead of %s", p.Auth)
	}
}

// someSecret refuses blocks that anybody may be in where no password keeps strangers out.
func someSecret(p *Params, refuse refusal) {
	for i, c := range p.ClientCidrs {
		if !p.Auth.Passwords() && p.AllowAnyClient && c.IsValid() && anyone(c) {
			refuse(at("clientCidrs", i), "%s would make an open proxy with auth=none; give the blocks your clients "+
				"connect from, or an auth that asks for a password", c)
		}
	}
}

// noPasswords refuses what is about passwords where there are none. The defaults count as not
// given, because cdk.json lists them.
func noPasswords(p *Params, refuse refusal) {
	for key, given := range map[string]bool{
		"users": !slices.Equal(p.Users, []string{defaultUser}), "realm": p.Realm != defaultRealm,
		"credentials": p.Credentials != container.CredentialsSecretsManager,
	} {
		if given && !p.Auth.Passwords() {
			refuse(key, "has no meaning with auth=none, which asks for no password; drop %s, or give another auth", key)
		}
	}
}
