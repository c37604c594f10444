// Package awsstandin answers the part of AWS's API that the CDK's command line uses, on loopback, so that its whole life cycle (bootstrap, deploy, diff, destroy) can be run where
// there is no AWS. It is not AWS: it makes no resource, and a template that it takes may still be refused by the real one. What it holds the CLI and the templates to:
//
//   - Every call has the form of a signed one, for a service and the region, with the key and the token of credentials it has handed out: the ones of [Server.Environment], or those of a role that a stack has made
//     and that trusts the account. The signature itself is not computed.
//   - No call, and no argument of a call, is passed over: what it does not know is refused and told by [Server.Unanswered]. Of JSON that is the first level, and headers of S3 are not among the arguments.
//   - CloudFormation: templates of at most 51,200 bytes in a call and 1 MB by URL, whose resource types, properties (their first level), attributes, references and functions exist, without
//     a circle; parameters with their types, patterns and values from Systems Manager; rules; IAM capabilities; change sets; the states of a stack and what each allows; order by
//     dependency; rollback of a failed creation or update; exports that are in use; policies of deletion; outputs and references between stacks.
//     A property whose change replaces a resource under conditions is changed in place.
//   - ECR: repositories that a stack has made, a real registry behind them with a login, and an ECS service whose image must be in it.
//
// An operation goes on when it is looked at, not with the time, so that each run sees the same states.
package awsstandin
