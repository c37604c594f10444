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
//	127.0.0.1:P          the common port, which leads to any task
//	127.0.0.1:P+k        the port of address k, which leads to its task alone
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
// Each address is a service of one task, registered with the common target group and with its own.
// [Fleet.Rotate] replaces a task as ECS does with forceNewDeployment, at a minimum of 100 and a
// maximum of 200 percent, and keeps the old one if the new one does not come into service. A task
// that ends by itself or is interrupted is deregistered and replaced at once. [Fleet.Stop] and
// [Fleet.Start] are the desired counts 0 and 1. [Fleet.Schedule] spreads rotations as the stack's
// schedules do. Its periods begin with the fleet, not at midnight.
//
// ECS notices a container's end seconds later, and tries for ever to replace a task. A task that is
// gone takes its address along there: its connections get no answer, while here the kernel resets
// them.
//
// [Timing] holds every time that AWS would impose. [Timing.Faster] divides all of them, so that
// their ratios stay. Squid's own start and stop cannot be divided.
package local
