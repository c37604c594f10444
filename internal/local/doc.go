// Package local runs a fleet on one machine: real Squids under the real entrypoint, made from the
// same parameters and by the same code as the image, behind the stand-in for the load balancer
// (package nlb), with an origin that answers with the address that asked it. `squidfleet local`
// shows it, and the rotation test loads it.
//
// # Addresses
//
// Everything is in 127.77.0.0/16, which on Linux belongs to the loopback interface and needs no
// privileges. Only clients connect to 127.0.0.1.
//
//	127.77.0.1 …         the load balancer's nodes, one a zone
//	127.77.0.80 …:8080   the origin
//	127.77.1.1 …         the tasks: each listens at a new address, at the parameters' own port,
//	                     and its connections leave from there
//
// Towards the tasks every client has the first address of clientCidrs: it has reached a port of
// the loopback interface, so it is a program on this machine.
//
// The guard of destinations is the fleet's own. One line opens the origin's address at its port
// (squid.Config's LocalOrigin). Public destinations are asked from the machine's own address, since
// nothing outside would answer 127.77.1.1.
//
// # What plays ECS
//
// A [Fleet] keeps its tasks in service. [Fleet.Rotate] replaces all of them as ECS does with
// forceNewDeployment, at a minimum of 100 and a maximum of 200 percent. Once the load balancer and
// the container's own check call all new ones healthy, the old ones are deregistered; after the
// deregistration delay they get SIGTERM, and SIGKILL after the stop timeout. If a new one does not
// come into service, the new ones are stopped and the old ones stay, as with ECS's circuit breaker.
// A task that ends by itself or is interrupted is deregistered and replaced at once.
//
// ECS may stop old tasks one by one as new ones become healthy, and notices a container's end
// seconds later. A task that is gone takes its address along there: its connections get no answer,
// while here the kernel resets them.
//
// [Timing] holds every time that AWS would impose. [Timing.Faster] divides all of them, so that
// their ratios stay. Squid's own start (some 0.2 s) and stop (up to 2.2 s) cannot be divided.
package local
