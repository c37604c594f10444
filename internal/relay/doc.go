// Package relay is a local HTTP proxy in front of fleets. It takes requests without a password from
// programs on its machine and sends them on with a fleet's credentials. `squidfleet relay` runs it.
//
// # One connection for one
//
// Each client's connection has one connection to a fleet of its own, opened for its first request
// and closed with it. So a new connection leaves from another address, as without the relay, and
// nobody gets an answer to somebody else's request. Heads are read and checked, and go on in their
// order and spelling; bodies and tunnels are copied, by the kernel where it can.
//
// # Sessions
//
// The user name of a client's Basic credentials is a session; the password does not matter. All
// addresses of all fleets are ranked by a hash of session and address (rendezvous hashing), and the
// first one is the session's. Another relay with the same fleets comes to the same address, and an
// address that goes moves its own sessions only. Behind the last dot a session may name a fleet or
// a region, which limits it to the addresses there.
//
// # What is tried again
//
// A connection that fails before a byte of the client's request went out is tried again, at most
// three times in all. A request that the fleet refused for its nonce is sent again with a new one,
// because the fleet has not passed it on. Nothing else is ever sent twice.
package relay
