// Package standin answers the few calls of AWS's APIs that package operator makes, on a loopback address: a model of one fleet, with ECS's scheduler as far as it matters.
//
// It is as strict as AWS where a test could otherwise pass for a wrong reason: a request must be signed for the right service and region, lists come in pages of two, the limits of batches hold, and each
// request and each answer must fit AWS's own API model: for JSON the SDK's schemas, for forms and XML, which the SDK has none for, shapes recorded in models/. Whatever breaks one of these rules is in [AWS.Problems], and tests ask for them at their end.
//
// Time passes when the service is described: each look moves every task a step on.
package standin
