package params

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
)

// Keys that are the CDK's. They were read from aws-cdk-lib 2.270.0 and aws-cdk (the CLI)
// 2.1148.1:
//
//   - feature flags and settings begin with @aws-cdk/ or @aws-cdk- (@aws-cdk-containers/…); one old
//     flag is aws-cdk:enableDiffNoFail (aws-cdk-lib/cx-api/lib/features.js);
//   - the CLI's options arrive as aws:cdk:… (cx-api/lib/app.d.ts, the CLI's lib/cxapp/exec.js);
//   - answers of look-ups, which cdk.context.json keeps, are a provider's name and key=value pairs,
//     joined by colons (core/lib/context-provider.js; the names are those of ContextProvider in
//     cloud-assembly-schema/lib/cloud-assembly/context-queries.d.ts);
//   - three plain names: the last is of core/lib/stack-synthesizers/legacy.js, the others are
//     stored by "cdk acknowledge" and "cdk cli-telemetry".
//
// No rule accepts a plain word that could be a misspelt parameter.
var cdkKeys = regexp.MustCompile(`(?s)^(?:@aws-cdk[/-].*|aws:cdk:.*|aws-cdk:enableDiffNoFail|` +
	`acknowledged-issue-numbers|cli-telemetry|assets-ecr-repository-name|` +
	`(?:ami|availability-zones|cc-api-provider|endpoint-service-availability-zones|hosted-zone|key-provider|` +
	`load-balancer|load-balancer-listener|plugin|security-group|ssm|vpc-provider):[^=]+=.*)$`)

// plainKey is a key that reads well without quotes.
var plainKey = regexp.MustCompile(`^[!-~]{1,80}$`)

// unknownKeys returns an error for each key that is neither ours nor CDK's, by name.
func unknownKeys(context map[string]any) Errors {
	known := Keys()
	var errs Errors
	for _, key := range slices.Sorted(maps.Keys(context)) {
		if slices.Contains(known, key) || cdkKeys.MatchString(key) {
			continue
		}
		message := "there is no such parameter; docs/parameters.md lists them all"
		if near := nearest(key, known); near != "" {
			message = fmt.Sprintf("there is no such parameter; did you mean %s?", near)
		}
		if !plainKey.MatchString(key) {
			key = show(key)
		}
		errs = append(errs, Error{key, message})
	}
	return errs
}
