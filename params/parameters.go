package params

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"squidfleet/proxyimage/container"
	"squidfleet/squid"
)

// What cdk.json holds of users and realm.
const (
	defaultUser  = "proxy"
	defaultRealm = "squidfleet"
)

const names = squid.UserLimits + ", at most 64 characters"

const stackNames = "a letter, then letters, digits and hyphens, no hyphen at the end, at most 118 characters"

// parameters declares every parameter, in the order of the table.
var parameters = []parameter{
	declare("stackName", text(stackNames, CheckStackName), "Squidfleet",
		"prefix of the stacks' names; an account can hold several fleets"),
	// Each block is an inbound rule. A security group holds 60 unless the quota is raised, and a
	// few are left for your own
	// (https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html).
	declare("clientCidrs", cidrs(
		fmt.Sprintf("1 to 50 blocks, IPv4 or IPv6; wider than /%d (IPv4) or /%d (IPv6) only with `allowAnyClient`",
			widestIPv4, widestIPv6),
		size{1, 50, "the load balancer's security group holds 60 rules: join neighbouring blocks"}, client),
		[]any{"203.0.113.0/24"},
		"who may connect; the default is a documentation range, so nobody can until you set it").
		with(wideClients, "allowAnyClient").
		with(someSecret, "allowAnyClient", "auth"),
	declare("allowAnyClient", boolean(), false,
		"allows wider blocks in `clientCidrs`, up to the whole internet"),
	declare("clientSecurityGroups", list(text("a security group's id", checkGroup),
		"at most 10 ids of security groups; with `endpoint=internal` and `vpcId` only",
		size{most: 10, reason: "each is a rule of the load balancer's security group"}, nil), []any{},
		"groups of the VPC whose members may connect besides `clientCidrs`").
		with(groupsInside, "clientCidrs", "clientSecurityGroups", "endpoint", "vpcId"),
	declare("endpoint", choice(EndpointPublic, EndpointInternal), string(EndpointPublic),
		"where the load balancer is: `public`, on the internet; `internal`, with private addresses only, for clients "+
			"in the VPC (`vpcId`), in peered networks or behind PrivateLink"),
	declare("privateLinkPrincipals", list(text("an account, user or role as ARN", checkPrincipal),
		"at most 50 ARNs of accounts (`arn:aws:iam::111122223333:root`), users or roles; with `endpoint=internal` only",
		size{most: 50}, otherPartition), []any{},
		"who may make PrivateLink endpoints that lead to the proxy; none: there is no endpoint service").
		with(linkInside, "privateLinkPrincipals", "endpoint"),
	declare("certificateArn", text("the ARN of a certificate in Certificate Manager, in the fleet's region",
		orNone(checkCertificate)), "",
		"certificate with which the load balancer speaks TLS to clients, on all ports"),
	declare("domainName", text("a host's name; with `hostedZoneId` or `certificateArn`", orNone(checkDomainName)), "",
		"name of the proxy; it gets an alias record and, without `certificateArn`, a certificate, both in "+
			"`hostedZoneId`").
		with(certified, "domainName", "hostedZoneId", "certificateArn"),
	declare("hostedZoneId", text("the id of a public hosted zone of Route 53; with `domainName` only",
		orNone(checkHostedZone)), "",
		"zone in which `domainName` lies"),
	declare("auth", choice(squid.AuthDigest, squid.AuthBasic, squid.AuthAny, squid.AuthNone),
		string(squid.AuthDigest),
		"what clients are asked for: a password by `digest`, by `basic`, or by `any` of the two; `none` asks for "+
			"nothing, and the client's address alone counts").
		with(readableBasic, "auth", "allowPlaintextBasic"),
	declare("allowPlaintextBasic", boolean(), false,
		"allows `auth` `basic` and `any`, although passwords can be read on the way to the load balancer"),
	declare("users", list(text(names, squid.CheckUser), "1 to 20 names of "+names,
		size{1, 20, "every user is a secret of its own"}, samePasswordVariable), []any{defaultUser},
		"names of the users").
		with(noPasswords, "auth", "users", "realm", "credentials"),
	declare("realm", text("1 to 64 "+squid.RealmLimits, squid.CheckRealm), defaultRealm,
		"realm, which clients show when they ask for a password"),
	declare("digest", choice(squid.DigestFleet, squid.DigestSquid), string(squid.DigestFleet),
		"who checks Digest: `fleet`, our own helper, whose nonces hold on every task; `squid`, Squid itself, "+
			"for a fleet of one and `auth` `digest`").
		with(onlyDigest, "auth", "digest"),
	declare("credentials", choice(container.CredentialsSecretsManager, container.CredentialsImage),
		string(container.CredentialsSecretsManager),
		"where passwords are: `secretsmanager`, a generated secret for each user; `image`, as hashes in the image, "+
			"from environment variables at synth"),
	declare("listenerPort", integer(1024, 65535, "Squid may not use lower ports"), 35201,
		"TCP port of the load balancer and of Squid; it leads to any address").
		with(roomForPorts, "listenerPort", "addressPorts", "fleetSize"),
	declare("addressPorts", boolean(), true,
		"a port for each address: `listenerPort` + 1 always leads to address 1, and so on"),
	// The limits are the load balancer's
	// (https://docs.aws.amazon.com/elasticloadbalancing/latest/network/update-idle-timeout.html).
	declare("idleTimeout", duration(span{least: time.Minute, most: 6000 * time.Second, step: time.Second,
		steps: "seconds", reason: "the load balancer takes no other"}), "350s",
		fmt.Sprintf("how long a connection may be silent before the load balancer forgets it; Squid ends it %s "+
			"earlier, so that both sides learn of it", format(squid.IdleMargin))).
		with(idleOfTLS, "idleTimeout", "domainName", "certificateArn"),
	declare("httpPorts", ports(), []any{80},
		"destination ports for plain HTTP; none: no plain HTTP").
		with(somePort, "httpPorts", "connectPorts"),
	declare("connectPorts", ports(), []any{443, 80},
		"destination ports for CONNECT; none: no CONNECT"),
	declare("allowedDomains", domains(), []any{},
		"the only names that clients may ask for; a destination given as an address is refused then; none: any").
		with(func(p *Params, refuse refusal) {
			stillBlocked("allowedDomains", p.AllowedDomains, "blockedDomains", p.BlockedDomains, squid.DomainHolds,
				refuse)
		}, "allowedDomains", "blockedDomains"),
	declare("blockedDomains", domains(), []any{},
		"names to refuse, before they are looked up; their addresses stay open"),
	declare("blockedCidrs", cidrs("at most 1000 blocks, IPv4 or IPv6", size{most: 1000}, target), []any{},
		"destinations to refuse besides private and special-purpose ones").
		with(someDestination, "blockedCidrs"),
	declare("allowedPrivateCidrs", cidrs(
		"at most 100 private blocks, outside `blockedCidrs` and the fleet's own VPC", size{most: 100}, private),
		[]any{},
		"private destinations that clients may reach").
		with(func(p *Params, refuse refusal) {
			stillBlocked("allowedPrivateCidrs", p.AllowedPrivateCidrs, "blockedCidrs", p.BlockedCidrs, contains, refuse)
		}).
		with(openedOwnNetwork, "vpcCidr", "vpcId"),
	// A rotation may double the fleet, and a load balancer with cross-zone balancing has 500
	// targets
	// (https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-limits.html).
	declare("fleetSize", integer(1, mostAddresses, ""), 2,
		fmt.Sprintf("number of egress addresses, each a service of one task; more than %d only with "+
			"`addressPorts=false`", mostPorts)),
	declare("cpu", cpu(), 256,
		"CPU units of a task, 1024 to a vCPU. Squid uses no more than one: addresses (`fleetSize`) carry more"),
	declare("memory", memory(), 512,
		"MiB of a task; each allows 5 tunnels, 2 of them from one client address (2,560 and 1,024 with 512)").
		with(fargatePair, "cpu", "memory"),
	declare("architecture", choice(X8664, ARM64), string(X8664),
		"processor of the tasks"),
	declare("spotShare", integer(0, 100, ""), 0,
		"percent of the addresses on Fargate Spot, from the last one down"),
	declare("rotateEvery", period(), "1h",
		fmt.Sprintf("how often each address is replaced by a new one, the addresses one after the other; counted "+
			"from midnight UTC (7d: Monday's); at least `drainTimeout` and %s", format(besidesDrain))).
		with(roomToRotate, "rotateEvery", "drainTimeout"),
	// ECS waits for the load balancer's deregistration delay before it stops a task. The
	// container's own time to stop, at most 120 s, begins then.
	declare("drainTimeout", duration(span{most: longestDrain, step: time.Second, steps: "seconds",
		reason: fmt.Sprintf("CloudFormation gives up destroying the service after %s, in which the load balancer's %s "+
			"and %s to stop have to fit too", format(longestDelete), format(LoadBalancerLag), format(stopTime))}), "2m",
		fmt.Sprintf("how long connections of an old task may finish. The load balancer sends it new ones for up "+
			"to %s; each gets the full time. At most 2m when AWS takes a Spot task back or somebody stops a task",
			format(LoadBalancerLag))),
	declare("activeHours", activeHours(), always,
		"when the addresses run, in `timezone`; hours may end on the next day. A rotation starts nothing that is "+
			"stopped"),
	declare("vpcCidr", cidr(
		fmt.Sprintf("a private IPv4 block of /%d to /%d, large enough for twice `fleetSize`; not with `vpcId`",
			largestVPC, smallestVPC), vpcBlock), defaultVpcCidr,
		"range of the fleet's own VPC, which has public subnets in two zones and nothing else").
		with(oneVPC, "vpcCidr", "vpcId").
		with(roomForFleet, "vpcCidr", "vpcId", "fleetSize"),
	declare("zones", list(text("a zone's name such as eu-west-1a", checkZone), "two names of zones of one region, "+
		"such as eu-west-1a; not with `vpcId`",
		size{most: 2, reason: "the fleet's own VPC spans two zones"}, otherRegion),
		[]any{},
		"zones of the fleet's own VPC, where the region's first two will not do; none: those two").
		with(twoZones, "zones", "vpcId"),
	declare("vpcId", text("`vpc-` and 8 or 17 hexadecimal digits", checkVpcID), "",
		"an existing VPC with public subnets, instead of the fleet's own"),
	// The values are those of PutRetentionPolicy in CloudWatch Logs' API reference.
	declare("logRetentionDays", integerOf("a retention CloudWatch Logs offers",
		1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653), 30,
		"how long the log is kept"),
	declare("metrics", boolean(), true,
		"whether each task reports its own figures to CloudWatch once a minute: 5 metrics a fleet, which cost $1.50 a "+
			"month in us-east-1"),
	declare("alarmEmail", text("an e-mail address; not with `alarmTopicArn`", orNone(checkEmail)), "",
		"who gets alarms, after a click in a first message of AWS's; none of the two: there are "+
			"no alarms"),
	declare("alarmTopicArn", text("the ARN of an SNS topic in the fleet's region; not with `alarmEmail`",
		orNone(checkTopic)), "",
		"topic that gets alarms, which CloudWatch and EventBridge may publish to").
		with(oneAlarmTarget, "alarmEmail", "alarmTopicArn"),
	declare("dashboard", boolean(), true,
		"whether CloudWatch has a dashboard of the fleet; three of an account are free, further ones cost $3 a month"),
	declare("timezone", text("a name of the IANA time zone database", checkTimezone), "UTC",
		"time zone of the log and of `activeHours`"),
	declare("tags", list(text(tagLimits, checkTag), fmt.Sprintf("at most %d, each %s", mostTags, tagLimits),
		size{most: mostTags, reason: "AWS takes 50 on a resource, and the CDK has three of its own"}, sameTagKey),
		[]any{},
		"tags of the stacks and of every resource that takes some, tasks included"),
}

// ports is a list of TCP ports.
func ports() kind[[]int] {
	const most = 64
	limits := fmt.Sprintf("at most %d ports of 1 to 65535; `httpPorts` and `connectPorts` not both empty", most)
	return list(integer(1, 65535, ""), limits, size{most: most}, nil)
}

// stackNameForm is CloudFormation's rule for stack names. It allows 128 characters; ten are left
// for what the stacks append, which begins with a hyphen.
var stackNameForm = regexp.MustCompile(`^[A-Za-z](?:[A-Za-z0-9-]{0,116}[A-Za-z0-9])?$`)

// CheckStackName returns an error if the stacks' names cannot begin with s.
func CheckStackName(s string) error {
	if !stackNameForm.MatchString(s) {
		return errors.New(show(s) + " cannot begin a stack's name; give " + stackNames)
	}
	return nil
}

// samePasswordVariable refuses two users whose passwords would share an environment variable.
func samePasswordVariable(earlier, later, path string, i int) string {
	if variable := squid.PasswordVariable(later); variable == squid.PasswordVariable(earlier) {
		return fmt.Sprintf("%q and %q, %s[%d], would share the password variable %s; rename one of the two",
			later, earlier, path, i, variable)
	}
	return ""
}
