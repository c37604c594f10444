package params

import (
	"fmt"
	"slices"

	"squidfleet/proxyimage/container"
	"squidfleet/squid"
)

// privateWayIn reports whether nobody on the way between a client and the load balancer can read
// or change what they say.
func (p *Params) privateWayIn() bool { return p.TLS() || p.Endpoint == EndpointInternal }

// plainBasic reports whether somebody on the way can read passwords, or can make clients show them.
func (p *Params) plainBasic() bool { return p.Auth.Basic() && !p.privateWayIn() }

func readableBasic(p *Params) Errors {
	if !p.plainBasic() || p.AllowPlaintextBasic {
		return nil
	}
	why := "has clients send their passwords in the clear, to be read by anybody on the way to the load balancer"
	if p.Auth == squid.AuthAny {
		why = "lets anybody who can change the traffic on the way to the load balancer ask for Basic, and read the " +
			"passwords"
	}
	return Errors{{"auth", fmt.Sprintf("%s %s; give digest, or TLS by domainName or certificateArn, or "+
		"endpoint=internal; or set allowPlaintextBasic=true if you mean it", p.Auth, why)}}
}

// onlyDigest refuses what Squid itself does not check as our helper does.
func onlyDigest(p *Params) Errors {
	if p.Digest != squid.DigestSquid || p.Auth == squid.AuthDigest {
		return nil
	}
	return Errors{{"digest", fmt.Sprintf("squid goes with auth=digest only; give fleet, or auth=digest instead of %s",
		p.Auth)}}
}

// someSecret refuses blocks that anybody may be in where no password keeps strangers out.
func someSecret(p *Params) Errors {
	var errs Errors
	for i, c := range p.ClientCidrs {
		if p.Auth.Passwords() || !p.AllowAnyClient || !c.IsValid() || !anyone(c) {
			continue
		}
		errs = append(errs, Error{fmt.Sprintf("clientCidrs[%d]", i), fmt.Sprintf("%s would make an open proxy with "+
			"auth=none; give the blocks your clients connect from, or an auth that asks for a password", c)})
	}
	return errs
}

// noPasswords refuses what is about passwords where there are none. The defaults count as not
// given, because cdk.json lists them.
func noPasswords(p *Params) Errors {
	if p.Auth.Passwords() {
		return nil
	}
	var errs Errors
	refuse := func(given bool, key string) {
		if given {
			errs = append(errs, Error{key, fmt.Sprintf("has no meaning with auth=none, which asks for no password; "+
				"drop %s, or give another auth", key)})
		}
	}
	refuse(!slices.Equal(p.Users, []string{defaultUser}), "users")
	refuse(p.Realm != defaultRealm, "realm")
	refuse(p.Credentials != container.CredentialsSecretsManager, "credentials")
	return errs
}
