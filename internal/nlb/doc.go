// Package nlb is a stand-in for an AWS Network Load Balancer with one TCP listener and one target
// group of IP addresses. Tests, load rigs and `squidfleet local` put it in front of real Squids,
// so that these see of a load balancer what a fleet on AWS sees.
//
// # What it reproduces, and from where
//
// "Guide" is AWS's user guide for Network Load Balancers, chapters "Target groups", "Health
// checks" and "Edit target group attributes".
//
//   - PROXY protocol v2 in front of every connection's bytes, and nothing stripped from them, so
//     that a header sent by the client follows as data (Guide, "Proxy protocol"). The bytes are
//     AWS's: a CRC-32C TLV over the whole header, and a NOOP TLV that fills the header to 100
//     bytes. Sources: aws/elastic-load-balancing-tools, Compatibility_AwsNetworkLoadBalancerTest;
//     captures in pires/go-proxyproto (tlvparse) and quakeservices/master#1. The checksums of all
//     of them verify, and the tests hold this package to them.
//   - The destination in the header is the node's private address, whatever public address the
//     client dialled (the same capture).
//   - Health checks by TCP connect, with the header's command LOCAL, a family that says TCP over
//     IPv4 and yet *no* address block: the TLVs follow the length at once (capture in
//     kubernetes/kubernetes#57250, checksum verified; pires/go-proxyproto#12 met the same). Then
//     the connection is closed.
//   - The states initial, healthy, unhealthy, draining and unused; consecutive successes and
//     failures against two thresholds (Guide, "Health check settings"). An initial target must
//     reach the healthy threshold too (API reference, TargetHealth, Elb.InitialHealthChecking).
//   - One target per TCP connection for that connection's life, of any zone: cross-zone balancing
//     is on.
//   - Fail-open: if no target is healthy and at least one has failed its checks, all of them are
//     used, whatever their state (Guide, "Health checks": "the load balancer fails open").
//   - A target that becomes unhealthy has its connections reset, unless the load balancer fails
//     open (Guide, "Connection termination for unhealthy targets").
//   - Deregistration: draining for DeregistrationDelay, then unused. Existing connections go on,
//     and are reset when the delay ends (Guide, "Deregistration delay", with connection
//     termination on). Health checks go on as well: "if the deregistered target stays healthy […]
//     the load balancer can continue to send traffic". It is inferred that one which does not stay
//     healthy loses its connections.
//   - New connections keep arriving for about two minutes after deregistration, whatever the
//     delay, and even when the API already says unused. Nobody documents this
//     (aws/containers-roadmap#470, kubernetes-sigs/aws-load-balancer-controller#2366).
//     DeregistrationLag.
//   - Half-closed connections stay half-open; a reset on one side becomes a reset on the other;
//     the load balancer sends no keepalive probe itself.
//   - A target that refuses or does not answer costs the client its connection: there is no second
//     try on another target (seen in kubernetes-sigs/cluster-api-provider-aws#6254).
//
// # How a target is chosen
//
// AWS hashes protocol, both addresses, both ports and the TCP sequence number. A program does not
// see the sequence number, so the connection's running number takes its place: like AWS's, the
// hash is even over many connections and uneven over few, and it is seeded anew in each Balancer.
//
// # What it does not reproduce
//
//   - It ends the client's TCP connection itself. AWS forwards the handshake, so there a client of
//     a dead target sees "connection refused" or a timeout; here it connects and is reset. A count
//     of failures loses nothing by this.
//   - Idle connections are reset on both sides when the timeout is over. AWS forgets them silently
//     and answers the next packet with a reset.
//   - Keepalive probes do not count as traffic: the kernel answers them before this program could
//     notice. On AWS they keep a connection alive.
//   - AWS checks every target from every node, and so more often than the interval says; here one
//     check runs per target, from its own zone's node. Passive health checks, HTTP and HTTPS
//     checks, and thresholds other than one healthy target are left out, and so are the minutes
//     that registration takes before the first check.
//   - DNS is not involved: a client reaches any node.
//   - TLS and UDP listeners, client IP preservation, stickiness, PrivateLink, security groups (the
//     listener accepts every client that reaches it) and AWS's limits on its settings: tests need
//     intervals far below five seconds.
//   - An IPv6 client's header is filled to the same 100 bytes; no capture of one was found to
//     confirm that.
//
// # Cost
//
// Each connection costs two goroutines and, on Linux, six descriptors (two sockets and two splice
// pipes). A target is forgotten once it is unused, its lag is over and its last connection has
// ended.
package nlb
