// Package operator asks AWS about a running fleet and changes it: its egress addresses, new ones
// for all or one of its tasks, how to use it, and what it logged.
//
// It knows a fleet by its stack name alone. The outputs of the stack <stackName>-Proxy name the
// rest: Endpoint, TryIt, LogGroup, ClusterName, ServiceName and RotationFailures.
//
// Errors wrap what the AWS SDK returned. [Explain] makes one line of them that an operator can act
// upon.
package operator
