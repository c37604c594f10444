// Package nlb is a stand-in for the TCP and TLS listeners of an AWS Network Load Balancer. Tests
// and `squidfleet local` put it in front of real Squids, which see of it what a fleet on AWS sees.
//
// A [Balancer] is one listener with its target group of IP addresses. A target may be registered
// with several: each group checks, drains and forgets it by itself (Guide, "Target groups").
//
// # What it reproduces, and from where
//
// "Guide" is AWS's user guide for Network Load Balancers.
//
//   - PROXY protocol v2 in front of every connection's bytes, and nothing stripped from them
//     (Guide, "Proxy protocol"). The bytes are AWS's: a CRC-32C TLV over the whole header, and a
//     NOOP TLV that fills it to 100 bytes (aws/elastic-load-balancing-tools,
//     Compatibility_AwsNetworkLoadBalancerTest; captures in pires/go-proxyproto (tlvparse) and
//     quakeservices/master#1). The destination is the node's private address, whatever public one
//     the client dialled. No capture of an IPv6 client's header was found.
//   - Health checks by TCP connect, with the header's command LOCAL, a family that says TCP over
//     IPv4 and yet no address block (captures in kubernetes/kubernetes#57250,
//     pires/go-proxyproto#12). Two thresholds of checks in a row change the state (Guide, "Health
//     check settings"), that of an initial target too (API reference, TargetHealth).
//   - One target per TCP connection for its life, of any zone: cross-zone balancing is on. AWS
//     chooses by a hash that includes the TCP sequence number; the connection's running number
//     takes its place.
//   - Fail-open: if no target is healthy and at least one has failed its checks, all of the group
//     are used (Guide, "Health checks"). A target that becomes unhealthy keeps its connections, as
//     with the attribute that the stack sets:
//     target_health_state.unhealthy.connection_termination.enabled is false.
//   - A client of a group without a usable target is reset. The Guide says that an empty group
//     fails open too, but there is nothing to send to. That new connections meet a reset is
//     inferred.
//   - Deregistration: draining for DeregistrationDelay, then unused. Existing connections go on,
//     and are reset when the delay ends (Guide, "Deregistration delay"). Health checks go on as
//     well.
//   - New connections keep arriving for about two minutes after deregistration, whatever the delay
//     and the state: DeregistrationLag. Nobody documents this (aws/containers-roadmap#470,
//     kubernetes-sigs/aws-load-balancer-controller#2366).
//   - A TLS listener ends TLS and sends the target the same header, and then plain TCP (Guide,
//     "Listeners", "Proxy protocol"). It selects no ALPN protocol by default.
//   - Half-closed connections stay half-open; a reset on one side becomes a reset on the other;
//     the load balancer sends no keepalive probe itself.
//   - A target that refuses or does not answer costs the client its connection: there is no second
//     try on another target (seen in kubernetes-sigs/cluster-api-provider-aws#6254).
//
// # What it does not reproduce
//
//   - It ends the client's TCP connection itself. AWS forwards the handshake: there, a client of a
//     dead target sees "connection refused" or a timeout; here it connects and is reset.
//   - Idle connections are reset on both sides. AWS forgets them silently and answers the next
//     packet with a reset. There, keepalive probes count as traffic; here the kernel answers them.
//   - The connections of a target that becomes unhealthy go on, as with the fleet's target groups.
//     AWS's default resets them (Guide, "Connection termination for unhealthy targets").
//   - One check runs per target, from the first node; AWS checks from every node. The minutes
//     before a registration's first check are left out.
//   - DNS: a group without a healthy target in any zone marks all nodes as unhealthy there, also
//     for the other listeners (repost.aws, "elb-dns-cross-zone-balance-configuration"). DNS then
//     answers with all of them.
//   - AWS's limits on its settings: tests need intervals far below five seconds.
package nlb
