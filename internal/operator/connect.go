// Package operator asks AWS about a running fleet and changes it: its egress addresses, how to use
// it, and what it logged.
//
// It knows a fleet by its stack name alone. The outputs of the stack <stackName>-Proxy name the
// rest: Endpoint, TryIt, LogGroup, ClusterName, RotateEvery and RotationFailures. Each egress
// address is an ECS service of that cluster, whose tag params.AddressTag holds its number.
//
// Errors wrap what the AWS SDK returned. [Explain] makes one line of them that an operator can act
// upon.
package operator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/smithy-go/logging"
)

// Options name a fleet and the credentials.
type Options struct {
	// StackName is the fleet's parameter stackName.
	StackName string
	// Region and Profile are the AWS CLI's. Its environment variables and files replace empty ones.
	Region, Profile string
	// Poll is how often AWS is asked about something that takes its time. It must be positive.
	Poll time.Duration
}

// Connection is a connection to a deployed fleet. Its methods must not be called at the same time.
type Connection struct {
	// Name is the stack name, Region where the fleet runs.
	Name, Region string

	options     Options
	now         func() time.Time
	outputs     map[string]string
	cluster     string
	rotateEvery time.Duration // 0 for never
	port        int           // the clients' common one
	services    []string      // of the cluster; nil until they are listed

	ecs           *ecs.Client
	loadBalancing *elasticloadbalancingv2.Client
	ec2           *ec2.Client
	logs          *cloudwatchlogs.Client
	secrets       *secretsmanager.Client
	queues        *sqs.Client
	watch         *cloudwatch.Client
}

// Errors of Config that no request was made for.
var (
	errNoRegion      = errors.New("no AWS region")
	errNoCredentials = errors.New("no usable AWS credentials")
)

// maxAttempts is how often a request is made before throttling, or a fault of AWS, becomes an
// error. With the SDK's growing delays that takes half a minute at most. AWS_MAX_ATTEMPTS or the
// profile overrides it.
const maxAttempts = 6

// Config finds region and credentials. It asks AWS nothing, unless the credentials need it.
func Config(ctx context.Context, o Options) (aws.Config, error) {
	cfg, err := config.LoadDefaultConfig(ctx,
		config.WithRegion(o.Region),
		config.WithSharedConfigProfile(o.Profile),
		// The SDK's remarks are not the command's output.
		config.WithLogger(logging.Nop{}),
	)
	if err != nil {
		return cfg, err
	}
	if cfg.Region == "" {
		return cfg, errNoRegion
	}
	if cfg.RetryMaxAttempts == 0 {
		cfg.RetryMaxAttempts = maxAttempts
	}
	// A request's own error does not say whether there are no credentials or AWS refused them.
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		if ctx.Err() != nil {
			return cfg, ctx.Err()
		}
		return cfg, fmt.Errorf("%w: %w", errNoCredentials, err)
	}
	if cfg.HTTPClient == nil { // It has one if certificates of its own are set.
		cfg.HTTPClient = awshttp.NewBuildableClient()
	}
	cfg.HTTPClient = readOnly{cfg.HTTPClient}
	return cfg, nil
}

// readOnly hides from net/http that a request's body can write itself. smithy-go closes the body as
// soon as the answer begins, and WriteTo of a closed one gives io.EOF as an error. If net/http has
// yet to look for the body's end, it closes the connection, and the SDK makes a call again that AWS
// has carried out: a second rotation.
type readOnly struct{ aws.HTTPClient }

func (c readOnly) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	return c.HTTPClient.Do(r)
}

// Connect finds the fleet.
func Connect(ctx context.Context, o Options) (*Connection, error) {
	cfg, err := Config(ctx, o)
	if err != nil {
		return nil, err
	}
	return ConnectWith(ctx, cfg, o)
}

// ConnectWith finds the fleet with what Config returned. The error is a NotDeployed if there is
// no such stack.
func ConnectWith(ctx context.Context, cfg aws.Config, o Options) (*Connection, error) {
	f := &Connection{
		Name: o.StackName, Region: cfg.Region, options: o, now: time.Now,
		ecs: ecs.NewFromConfig(cfg), ec2: ec2.NewFromConfig(cfg),
		loadBalancing: elasticloadbalancingv2.NewFromConfig(cfg), logs: cloudwatchlogs.NewFromConfig(cfg),
		secrets: secretsmanager.NewFromConfig(cfg), queues: sqs.NewFromConfig(cfg),
		watch: cloudwatch.NewFromConfig(cfg),
	}
	return f, f.locate(ctx, cloudformation.NewFromConfig(cfg))
}

// sleep waits for as long as the fleet is polled, or until ctx ends.
func (f *Connection) sleep(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(f.options.Poll):
		return nil
	}
}

// Refusal is an error: the fleet is in no state for the request, and nothing was changed.
type Refusal struct{ Reason string }

func (r *Refusal) Error() string { return r.Reason }

func refuse(format string, arguments ...any) error {
	return &Refusal{fmt.Sprintf(format, arguments...)}
}

// Report takes a line of progress.
type Report func(line string)

func (r Report) say(format string, arguments ...any) {
	if r != nil {
		r(fmt.Sprintf(format, arguments...))
	}
}
