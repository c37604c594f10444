// Package standin answers the few calls of AWS's APIs that packages operator and doctor make, on
// loopback: a model of one fleet, with ECS's scheduler as far as it matters, and of its account.
//
// It is as strict as AWS where a test could otherwise pass for a wrong reason. A request must be
// signed by the right key for the right service and region, lists come in pages of two, and the
// limits of batches hold. UpdateService takes a desired count or a new deployment, and nothing
// else. [AWS.Problems] names what breaks a rule; tests ask for it at their end. The SDK encodes
// the requests and decodes the answers, so neither is held to the API's model once more.
//
// Time passes when a service is described: each look moves its tasks a step on.
package standin
