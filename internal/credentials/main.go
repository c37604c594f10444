// Command credentials finds out in a moment whether the CDK CLI will find AWS credentials, which it
// looks for only after a synth.
//
//	go run ./internal/credentials [argument of the CDK CLI]...
//
// Of the arguments only --profile and --plugin count. The exit status is 0 if there are credentials
// or only the CLI can find them: with a code of an MFA device, which it asks for, or with a plugin.
// Otherwise it is 1. AWS is asked only where the credentials come from AWS, as with a role or SSO.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go/logging"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := find(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// find returns an error if there are no usable credentials.
func find(ctx context.Context, arguments []string) error {
	if slices.ContainsFunc(arguments, func(a string) bool { return a == "-p" || strings.HasPrefix(a, "--plugin") }) {
		return nil
	}
	profile := profileOf(arguments)
	cfg, err := config.LoadDefaultConfig(ctx,
		config.WithSharedConfigProfile(profile),
		// The credentials' own requests need a region, and any will do.
		config.WithDefaultRegion("us-east-1"),
		config.WithLogger(logging.Nop{}),
	)
	if err == nil {
		_, err = cfg.Credentials.Retrieve(ctx)
	}
	var asksForCode config.AssumeRoleTokenProviderNotSetError
	if err == nil || errors.As(err, &asksForCode) {
		return nil
	}
	var noProfile config.SharedConfigProfileNotExistError
	if errors.As(err, &noProfile) {
		return fmt.Errorf("no AWS profile %q: make it with aws configure, or name another in ARGS=\"--profile NAME\"",
			noProfile.Profile)
	}
	return fmt.Errorf("no usable AWS credentials: sign in (aws configure, or aws sso login), set AWS_PROFILE, "+
		"or name a profile in ARGS=\"--profile NAME\" (%w)", err)
}

// profileOf returns the last profile that the arguments name; "" leaves the choice to the
// environment.
func profileOf(arguments []string) (profile string) {
	for i, a := range arguments {
		if name, is := strings.CutPrefix(a, "--profile="); is {
			profile = name
		} else if a == "--profile" && i+1 < len(arguments) {
			profile = arguments[i+1]
		}
	}
	return profile
}
