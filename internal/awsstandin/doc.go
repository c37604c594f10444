// Package awsstandin answers the part of AWS's API that the CDK's command line uses, on loopback,
// so that it can bootstrap, deploy, diff and destroy this project's stacks where there is no AWS.
// It makes no resource, and AWS may refuse a template that it takes. It shows what it is for:
//
//   - The templates can be worked out: every reference, attribute, function and parameter has a
//     value, without a circle, also between the stacks.
//   - What changes: which resources of an update change in place, which are replaced, which stay;
//     and that nothing is left after a deletion. A property that may replace a resource under
//     conditions changes it in place.
//   - The image: the registry is real, wants a login, and a service's image must be in it.
//   - Who calls: every call has the form of a signed one, with the credentials of
//     [Server.Environment], or those of a role that a stack has made and that trusts the account.
//     The signature is not computed.
//
// No call and no argument is passed over: [Server.Unanswered] names what it does not know. Of JSON
// it looks at the first level; headers of S3 are not among the arguments.
//
// An operation ends when it is looked at, not with the time, so that each run sees the same
// states.
package awsstandin
