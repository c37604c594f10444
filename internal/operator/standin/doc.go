// Package standin answers the few calls of AWS's APIs that packages operator and doctor make, on
// loopback: a model of one fleet, with ECS's scheduler as far as it matters, and of its account.
//
// It is as strict as AWS where a test could otherwise pass for a wrong reason: a request must be
// signed by the right key for the right service and region, lists come in pages of two, the limits
// of batches hold, and UpdateService may change nothing else. [AWS.Problems] names what breaks a
// rule; tests ask for it at their end. The SDK encodes the requests and decodes the answers, so
// neither is held to the API's model once more.
//
// Time passes when the service is described: each look moves every task a step on.
package standin
