// Package nlb is a stand-in for an AWS Network Load Balancer with one TCP
// listener and one target group of IP addresses: tests, load rigs and
// `squidfleet local` put it in front of real Squids, so that what they see of a
// load balancer is what a fleet on AWS sees.
//
// # What it reproduces, and from where
//
// "Guide" is AWS's user guide for Network Load Balancers, chapters "Target
// groups", "Health checks" and "Edit target group attributes".
//
//   - PROXY protocol v2 in front of every connection's bytes, and nothing
//     stripped from them, so that a header sent by the client follows as data
//     (Guide, "Proxy protocol"). The bytes are AWS's: a CRC-32C TLV over the whole
//     header, PP2_TYPE_AWS (0xEA) with the VPC endpoint's id when the client came
//     through PrivateLink, and a NOOP TLV that fills the header to 100 bytes.
//     Sources: aws/elastic-load-balancing-tools, Compatibility_AwsNetworkLoadBalancerTest;
//     captures in pires/go-proxyproto (tlvparse) and quakeservices/master#1. The
//     checksums of all of them verify, and the tests hold this package to them.
//   - The destination in the header is the node's private address, whatever
//     public address the client dialled (the same capture).
//   - Health checks by TCP connect, with the header's command LOCAL, a family
//     that says TCP over IPv4 and yet *no* address block: the TLVs follow the
//     length at once (capture in kubernetes/kubernetes#57250, checksum verified;
//     pires/go-proxyproto#12 met the same). Then the connection is closed.
//   - The states initial, healthy, unhealthy, draining and unused with their
//     reason codes; consecutive successes and failures against two thresholds
//     (Guide, "Health check settings"); an initial target must reach the healthy
//     threshold too (API reference, TargetHealth, Elb.InitialHealthChecking).
//   - One target per TCP connection for that connection's life. Without
//     cross-zone balancing a node uses the targets of its own zone; a client
//     reaches nodes as DNS offers them, only those with a healthy target (Guide,
//     "Cross-zone load balancing", "Target group health").
//   - Fail-open: if none of the targets a node could use is healthy and one at
//     least has failed its checks, all of them are used, whatever their state
//     (Guide, "Health checks": "the load balancer fails open").
//   - A target that becomes unhealthy has its connections reset, unless the load
//     balancer fails open, or Config.KeepUnhealthyConnections (Guide, "Connection
//     termination for unhealthy targets"; the default is to reset).
//   - Deregistration: draining for DeregistrationDelay, then unused. Existing
//     connections go on, and are reset when the delay ends only if
//     TerminateOnDeregistration is set (Guide, "Deregistration delay"). Health
//     checks go on as well: "if the deregistered target stays healthy […] the load
//     balancer can continue to send traffic". From this it is inferred that one
//     which does not stay healthy loses its connections.
//   - The habit nobody documents: new connections keep arriving for about two
//     minutes after deregistration, whatever the delay, and even when the API
//     already says unused (aws/containers-roadmap#470,
//     kubernetes-sigs/aws-load-balancer-controller#2366). DeregistrationLag.
//   - Registration takes minutes before the first check is sent
//     (aws-load-balancer-controller#1834). RegistrationDelay.
//   - source_ip stickiness, and its price: everyone behind one NAT meets one
//     target (Guide, "Sticky sessions").
//   - Half-closed connections stay half-open; a reset on one side becomes a reset
//     on the other; no keepalive probe is sent by the load balancer itself.
//   - A target that refuses or does not answer costs the client its connection:
//     there is no second try on another target (seen in
//     kubernetes-sigs/cluster-api-provider-aws#6254).
//
// # How a target is chosen
//
// AWS hashes protocol, both addresses, both ports and the TCP sequence number.
// A program does not see the sequence number, so FlowHash puts the connection's
// running number in its place: like AWS's it is even over many connections and
// uneven over few, and the hash is seeded anew in each Balancer. RoundRobin is
// not AWS's way; it is for tests and demonstrations that want strict turns.
// Stickiness weighs each healthy target against the client's address
// (rendezvous hashing): a target that comes or goes moves only its own share of
// clients, where AWS "might reset the sticky sessions".
//
// # What it does not reproduce
//
//   - It ends the client's TCP connection itself. AWS forwards the handshake, so
//     there a client of a dead target sees "connection refused" or a timeout; here it
//     connects and is reset. Nothing is lost by this for a count of failures.
//   - Idle connections are reset on both sides when the timeout is over. AWS
//     forgets them silently and answers the next packet with a reset.
//   - Keepalive probes do not count as traffic: the kernel answers them before
//     this program could notice. On AWS they keep a connection alive.
//   - AWS checks every target from every node, and so more often than the
//     interval says; here one check runs per target, from its own zone's node.
//     Passive health checks, HTTP and HTTPS checks, thresholds other than one
//     healthy target, and the unhealthy draining interval are left out.
//   - DNS is not involved: Serve plays a resolver that offers all good nodes, and
//     changes at once, without the time to live of 60 seconds.
//   - TLS and UDP listeners, client IP preservation, security groups (the listener
//     accepts whoever reaches it) and AWS's limits on its settings: tests need
//     intervals far below five seconds.
//   - An IPv6 client's header is filled to the same 100 bytes; no capture of one
//     was found to confirm that.
//
// # Bounds
//
// At most Config.MaxConnections connections are open, and further ones are reset
// at once; each costs two goroutines and, on Linux, six descriptors (two sockets
// and two splice pipes). Bytes move by splice(2) there. A target is forgotten once
// it is unused, its lag is over and its last connection has ended.
package nlb
