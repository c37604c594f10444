// Package stacks turns the parameters of one fleet into its CloudFormation stacks.
//
// A fleet has a stack <stackName>-Proxy and, unless it runs in an imported VPC, a stack
// <stackName>-Network. Construct ids are API: CloudFormation knows a resource by the id that the
// CDK derives from them, so renaming one replaces the resource. No resource has a physical name,
// so an account can hold any number of fleets.
package stacks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"squidfleet/params"
	"squidfleet/proxyimage"
	"squidfleet/squid"
)

// Input is what the stacks of a fleet are made from.
type Input struct {
	// Params are the fleet's parameters, as params.Parse returned them.
	Params *params.Params
	// Passwords are those of Params.Users with credentials=image, and none otherwise.
	Passwords []squid.Credential
	// Account and Region are where vpcId is looked up and the fleet is deployed. Without vpcId
	// they are not used, and the stacks fit any account and region.
	Account, Region string
	// Staged, unless it is nil, may change the image's build context in dir before the CDK takes it.
	// internal/check puts files there that it cannot make itself.
	Staged func(dir string) error
}

// Add stages the fleet's image and adds its stacks to the app. After an error the app must not be
// synthesised.
//
// Until the CDK CLI has looked up an imported VPC, Add stages nothing and leaves out what needs
// the VPC. The CLI then looks it up and runs the app again.
func (in Input) Add(ctx context.Context, app *App) error {
	tags := *in.tags()
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		awscdk.Tags_Of(app.App).Add(jsii.String(key), tags[key], nil)
	}
	n, err := in.network(app.App)
	if err != nil {
		return err
	}
	if n.pending {
		app.question = true
		newLog(n.stack, in.Params) // A stack without any resource is not valid.
		return nil
	}
	staging, err := os.MkdirTemp("", "squidfleet-image-")
	if err != nil {
		return fmt.Errorf("staging the image: %w", err)
	}
	// The CDK copies the directory into the assembly while the image's construct is made.
	defer os.RemoveAll(staging)
	dir := filepath.Join(staging, "context")
	trusted := proxyimage.Network{LoadBalancerCidrs: n.loadBalancerCidrs, VpcCidrs: n.vpcCidrs}
	// The go command compiles while the CDK loads.
	var stage sync.WaitGroup
	defer stage.Wait() // also after a panic, and before the directory goes
	stage.Go(func() { err = proxyimage.Stage(ctx, dir, in.Params, trusted, in.Passwords) })
	app.loadRules()
	stage.Wait()
	if err != nil {
		return err
	}
	if in.Staged != nil {
		if err := in.Staged(dir); err != nil {
			return err
		}
	}
	in.proxy(n, dir)
	return context.Cause(ctx)
}

// parametersKey is the type of the assembly's metadata entry with the parameters, which
// internal/check reads.
const parametersKey = "squidfleet:parameters"

// recorded returns the parameters as JSON values.
func (in Input) recorded() map[string]any {
	var values map[string]any
	text, err := json.Marshal(in.Params)
	if err := errors.Join(err, json.Unmarshal(text, &values)); err != nil {
		panic(err) // plain values and netip.Prefix can always be written
	}
	return values
}

// proxyStack returns the stack of everything but the VPC.
func (in Input) proxyStack(app awscdk.App, env *awscdk.Environment) awscdk.Stack {
	stack := awscdk.NewStack(app, jsii.String(in.Params.StackName+"-Proxy"), &awscdk.StackProps{
		Env:         env,
		Tags:        in.tags(),
		Description: jsii.String("Squidfleet: a forward proxy whose egress addresses rotate"),
	})
	// In the assembly, not in the template: a check of the assembly then knows what it was made
	// from.
	stack.Node().AddMetadata(jsii.String(parametersKey), in.recorded(), nil)
	return stack
}

// tags returns the tags, value by key.
func (in Input) tags() *map[string]*string {
	tags := map[string]*string{}
	for _, tag := range in.Params.Tags {
		key, value, _ := strings.Cut(tag, "=")
		tags[key] = jsii.String(value)
	}
	return &tags
}
