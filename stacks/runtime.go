package stacks

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
)

// App is a CDK app and the directory of its assembly.
type App struct {
	awscdk.App
	outdir *outdir
	// question says that the assembly only asks the CDK CLI to look something up.
	question bool
}

// NewApp returns an app whose assembly depends on the parameters alone. It writes one only in
// Synth: the CDK by itself also writes one when the program ends with an error.
//
// The CDK CLI gives the directory and the context. A dir that is not empty replaces the CLI's;
// context is added to the CLI's. NewApp returns an error if the directory or Node.js is missing.
func NewApp(dir string, context map[string]any) (*App, error) {
	// The CDK panics if there is no Node.js.
	if node := cmp.Or(os.Getenv("JSII_NODE"), "node"); os.Getenv("JSII_RUNTIME") == "" {
		if _, err := exec.LookPath(node); err != nil {
			return nil, fmt.Errorf("Node.js, which the CDK runs on, is not there: %w; start the CDK with make or npx, "+
				"which find what npm ci installs, or put a node on PATH", err)
		}
	}
	if err := relayStderr(); err != nil {
		return nil, err
	}
	os.Setenv("NODE_OPTIONS", nodeOptions(os.Getenv("NODE_OPTIONS")))
	outdir, err := openOutdir(cmp.Or(dir, os.Getenv("CDK_OUTDIR"), "cdk.out"))
	if err != nil {
		return nil, err
	}
	return &App{outdir: outdir, App: awscdk.NewApp(&awscdk.AppProps{
		AutoSynth: jsii.Bool(false),
		// Stack traces and timings hold this machine's paths and speed.
		StackTraces:          jsii.Bool(false),
		PostCliContext:       &map[string]any{"aws:cdk:disable-creation-stack-traces": true},
		PerformanceReporting: jsii.Bool(false),
		// This would add a resource to every template that reports the constructs it was made
		// with to AWS.
		AnalyticsReporting: jsii.Bool(false),
		Context:            &context,
		Outdir:             jsii.String(outdir.work),
	})}, nil
}

// nodeOptions returns the options of the CDK's Node.js, with those that the user gave.
//
// AWS's rules are WebAssembly whose memory grows in hundreds of steps. At each of them V8 looks for
// garbage on all its threads. One thread does less of it, and takes half a second less.
func nodeOptions(user string) string {
	const pool, heap = "--v8-pool-size", "--max-old-space-size=4069" // heap is jsii's default
	if strings.Contains(user, pool) {
		return user
	}
	return pool + "=1 " + cmp.Or(user, heap)
}

// rules are AWS's own for templates, which the CDK else loads in Synth.
var rules = sync.OnceValue(func() awscdk.CloudFormationValidatePlugin {
	return awscdk.NewCloudFormationValidatePlugin(nil)
})

// loadRules takes a second, the first time.
func (a *App) loadRules() { awscdk.Validations_Of(a.App).AddPlugins(rules()) }

// Synth writes the app's assembly. It returns an error if the CDK's validation, which includes
// AWS's own rules for templates, fails. The CDK has then printed the reasons on stderr.
func (a *App) Synth() (err error) {
	defer func() {
		problem := recover()
		if problem == nil {
			return
		}
		if !strings.HasPrefix(fmt.Sprint(problem), "ValidationFailed: ") {
			panic(problem)
		}
		err = errors.New("the stacks are not valid, see above; nothing was synthesised")
	}()
	a.App.Synth(nil)
	if err := a.outdir.publish(a.question); err != nil {
		return err
	}
	return a.Discard()
}

// Discard removes what Synth has not published. Call it before the program ends, however it ends.
// Unless Synth returned nil, the directory is then as it was.
func (a *App) Discard() error { return a.outdir.discard() }

// Close ends the CDK's Node.js process and passes on the rest of its messages. Call it before the
// program ends.
func Close() {
	jsii.Close()
	if relayed != nil {
		relayed.writer.Close()
		<-relayed.done
	}
}
