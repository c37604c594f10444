// Package nlb is a stand-in for an AWS Network Load Balancer's TCP and TLS listeners. Tests, load
// rigs and `squidfleet local` put it in front of real Squids, so that these see of a load balancer
// what a fleet on AWS sees.
//
// A [Balancer] is one listener with its target group of IP addresses. A load balancer with several
// listeners is several Balancers, and a target may be registered with more than one: each group
// checks, drains and forgets it by itself, with a lag and a delay of its own (Guide, "Target
// groups"). Listeners share nothing but the nodes' addresses.
//
// # What it reproduces, and from where
//
// "Guide" is AWS's user guide for Network Load Balancers.
//
//   - PROXY protocol v2 in front of every connection's bytes, and nothing stripped from them: a
//     header that the client sends follows as data (Guide, "Proxy protocol"). The bytes are AWS's:
//     a CRC-32C TLV over the whole header, and a NOOP TLV that fills it to 100 bytes
//     (aws/elastic-load-balancing-tools, Compatibility_AwsNetworkLoadBalancerTest; captures in
//     pires/go-proxyproto (tlvparse) and quakeservices/master#1). The tests hold this package to
//     all of them. No capture of an IPv6 client's header was found.
//   - The destination in the header is the node's private address, whatever public address the
//     client dialled (the same capture).
//   - Health checks by TCP connect, with the header's command LOCAL, a family that says TCP over
//     IPv4 and yet no address block (capture in kubernetes/kubernetes#57250, checksum verified;
//     pires/go-proxyproto#12 met the same).
//   - The states initial, healthy, unhealthy, draining and unused, by consecutive successes and
//     failures against two thresholds (Guide, "Health check settings"). An initial target must
//     reach the healthy threshold too (API reference, TargetHealth, Elb.InitialHealthChecking).
//   - One target per TCP connection for its life, of any zone: cross-zone balancing is on.
//   - Fail-open: if no target is healthy and at least one has failed its checks, all are used
//     (Guide, "Health checks"): all of the group, never another group's.
//   - A client of a group without a usable target is reset. The Guide says that an empty group
//     fails open too, but there is nothing to send to; a reset by the load balancer is what its
//     metric TCP_ELB_Reset_Count counts. That new connections meet it is inferred.
//   - Deregistration: draining for DeregistrationDelay, then unused. Existing connections go on,
//     and are reset when the delay ends (Guide, "Deregistration delay"). Health checks go on as
//     well.
//   - New connections keep arriving for about two minutes after deregistration, whatever the
//     delay and the state. Nobody documents this (aws/containers-roadmap#470,
//     kubernetes-sigs/aws-load-balancer-controller#2366). DeregistrationLag.
//   - A TLS listener ends TLS and sends the target the same header, and then plain TCP (Guide,
//     "Listeners", "Proxy protocol"). It selects no ALPN protocol by default.
//   - Half-closed connections stay half-open; a reset on one side becomes a reset on the other;
//     the load balancer sends no keepalive probe itself.
//   - A target that refuses or does not answer costs the client its connection: there is no second
//     try on another target (seen in kubernetes-sigs/cluster-api-provider-aws#6254).
//
// AWS chooses a target by a hash that includes the TCP sequence number. A program does not see it:
// the connection's running number takes its place. The hash is seeded anew in each Balancer.
//
// # What it does not reproduce
//
//   - It ends the client's TCP connection itself. AWS forwards the handshake: there, a client of a
//     dead target sees "connection refused" or a timeout; here it connects and is reset.
//   - Idle connections are reset on both sides. AWS forgets them silently and answers the next
//     packet with a reset.
//   - Keepalive probes do not count as traffic: the kernel answers them. On AWS they do.
//   - The connections of a target that becomes unhealthy go on, as with the fleet's target groups.
//     AWS's default resets them (Guide, "Connection termination for unhealthy targets").
//   - One check runs per target, from its own zone's node; AWS checks from every node. Passive,
//     HTTP and HTTPS checks are left out, and the minutes before a registration's first check.
//   - DNS: a group without a healthy target in any zone marks all nodes as unhealthy there, also
//     for the other listeners (repost.aws, "elb-dns-cross-zone-balance-configuration"). DNS then
//     answers with all of them.
//   - UDP, client IP preservation, stickiness, PrivateLink, security groups, and AWS's limits on
//     its settings: tests need intervals far below five seconds.
//
// Each TCP connection costs two goroutines and, on Linux, six descriptors. A target is forgotten
// once it is unused, its lag is over and its last connection has ended.
package nlb
