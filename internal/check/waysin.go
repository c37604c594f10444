package check

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"squidfleet/params"
)

const (
	certificate = "AWS::CertificateManager::Certificate"
	record      = "AWS::Route53::RecordSet"
	link        = "AWS::EC2::VPCEndpointService"
	permissions = "AWS::EC2::VPCEndpointServicePermissions"
)

func scheme(p *params.Params) any {
	if p.Endpoint == "internal" {
		return "internal"
	}
	return "internet-facing"
}

// encrypted reports whether clients speak TLS.
func encrypted(p *params.Params) bool { return p.CertificateARN+p.DomainName != "" }

// encrypts: all listeners have the certificate, or none has one.
func encrypts(a *Assembly) *Finding {
	p := a.Params
	if !encrypted(p) {
		return all(is(listener, "Protocol", "TCP"), none(listener, "", "Certificates", "SslPolicy"))(a)
	}
	arn := any(p.CertificateARN)
	if own := a.all(certificate); p.CertificateARN == "" {
		if len(own) != 1 || own[0].text("DomainName") != p.DomainName || own[0].text("ValidationMethod") != "DNS" ||
			own[0].text("DomainValidationOptions.0.HostedZoneId") != p.HostedZoneID {
			return a.template("there are %d certificates, want one for %s, validated in %s", len(own), p.DomainName,
				p.HostedZoneID)
		}
		arn = own[0].ref()
	}
	one := []any{map[string]any{"CertificateArn": arn}}
	return all(is(listener, "Protocol", "TLS"), is(listener, "Certificates", one),
		matches(listener, "SslPolicy", `^ELBSecurityPolicy-TLS13-1-[23]-(?:Res-)?PQ-`))(a)
}

// alias: the fleet's name, and no other, leads to the load balancer, in each of its families.
func alias(a *Assembly) *Finding {
	p := a.Params
	var got, want []string
	for _, r := range a.all(record) {
		to := a.referred(r.value("AliasTarget.DNSName"))
		got = append(got, fmt.Sprint(r.text("Name"), r.text("Type"), r.text("HostedZoneId"), to.kind))
	}
	families := []string{"A"}
	if slices.ContainsFunc(p.ClientCidrs, func(c netip.Prefix) bool { return c.Addr().Is6() }) {
		families = append(families, "AAAA")
	}
	for _, family := range families {
		if p.HostedZoneID != "" {
			want = append(want, fmt.Sprint(p.DomainName, family, p.HostedZoneID, balancer))
		}
	}
	if d := unlike(got, want); d != "" {
		return a.template("the zone %s", d)
	}
	return nil
}

// linked: endpoints of the principals alone lead to the load balancer, which looks at their
// clients.
func linked(a *Assembly) *Finding {
	p := a.Params
	var got []string
	for _, r := range a.all(permissions) {
		if of := a.referred(r.value("ServiceId")); of.kind == link &&
			a.referred(of.value("NetworkLoadBalancerArns.0")).kind == balancer {
			got = append(got, texts(r.value("AllowedPrincipals"))...)
		}
	}
	if d := unlike(got, p.PrivateLinkPrincipals); d != "" || (len(got) == 0) != (len(a.all(link)) == 0) {
		return a.template("PrivateLink: %d services; %s", len(a.all(link)), strings.TrimSpace("the principals "+d))
	}
	if len(got) == 0 {
		return nil
	}
	return is(balancer, "EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic", "on")(a)
}

// vpcBlocks returns the ranges of an imported VPC, as the CDK CLI has found them.
func (a *Assembly) vpcBlocks() (all []netip.Prefix) {
	for key, value := range a.lookups {
		switch {
		case !strings.Contains(key, a.Params.VpcID):
		case strings.HasPrefix(key, "vpc-provider:"):
			all = append(all, blocks(text(at(value, "vpcCidrBlock")))...)
			for _, group := range list(at(value, "subnetGroups")) {
				for _, s := range list(at(group, "subnets")) {
					all = append(all, blocks(text(at(s, "cidr")))...)
				}
			}
		case strings.HasPrefix(key, "cc-api-provider:"):
			all = append(all, blocks(texts(at(value, "0.Ipv6CidrBlocks"))...)...)
		}
	}
	return all
}
