// Package container holds what the Dockerfile, the entrypoint and the task definition have to
// agree on: paths, the user, the names in the environment, and the time a container has to stop.
//
// It imports almost nothing, so that the entrypoint stays small.
package container

import "time"

// Absolute paths inside the container.
const (
	// Dir is Squid's working directory. The paths in squid.conf are relative to it.
	Dir = "/srv/squidfleet"
	// RunDir is the only writable directory. The task definition mounts a volume there.
	RunDir = Dir + "/" + Run
	// EntrypointPath is the image's ENTRYPOINT.
	EntrypointPath = Dir + "/" + Entrypoint
	// SquidPath is Debian's Squid.
	SquidPath = "/usr/sbin/squid"
)

// Names inside Dir, and inside the build context, which has the same layout.
const (
	// Entrypoint is the static program that runs as process 1.
	Entrypoint = "entrypoint"
	// SquidConf is the rendered configuration.
	SquidConf = "squid.conf"
	// ErrorDir holds the error pages.
	ErrorDir = "errors"
	// Localtime is a TZif file, the time zone of the log.
	Localtime = "localtime"
	// Passwords is the password file in the image (credentials=image).
	Passwords = "passwords"
	// Run is the writable directory.
	Run = "run"
	// RunPasswords is the password file that the entrypoint writes (credentials=secretsmanager).
	RunPasswords = Run + "/" + Passwords
	// RunKeys is the file of the nonces' keys, which the entrypoint writes (digest=fleet)
	// where Digest is accepted.
	RunKeys = Run + "/keys"
	// RunSocket is where the helper for Digest answers about Basic as well (auth=any).
	RunSocket = Run + "/digest"
)

// UID and GID are the numbers of the unprivileged user, who has no name in the image.
const (
	UID = 10001
	GID = 10001
)

// The environment of the entrypoint; its package comment says what each variable means.
const (
	// EnvPrefix begins every name of ours. An unknown name that begins with it is an error.
	EnvPrefix = "SQUIDFLEET_"

	EnvDir         = EnvPrefix + "DIR"
	EnvSquid       = EnvPrefix + "SQUID"
	EnvName        = EnvPrefix + "NAME"
	EnvCredentials = EnvPrefix + "CREDENTIALS"
	EnvAuth        = EnvPrefix + "AUTH"
	EnvRealm       = EnvPrefix + "REALM"
	EnvUsers       = EnvPrefix + "USERS"
	EnvDigest      = EnvPrefix + "DIGEST"
	EnvDigestKeys  = EnvPrefix + "DIGEST_KEYS"
	// EnvPassword begins the names that [squidfleet/squid.PasswordVariable] returns.
	EnvPassword     = EnvPrefix + "PASSWORD_"
	EnvEgressURL    = EnvPrefix + "EGRESS_URL"
	EnvDrainTimeout = EnvPrefix + "DRAIN_TIMEOUT"
	EnvMetrics      = EnvPrefix + "METRICS"
	EnvMetricsEvery = EnvPrefix + "METRICS_EVERY"
)

// The task's own figures in the log: each line begins with MetricsBegin, and no line of the access
// log does. In CloudWatch they are metrics of this namespace, with the fleet's name as the only
// dimension.
const (
	MetricsBegin     = `{"_aws":`
	MetricsNamespace = "Squidfleet"
	MetricsDimension = "Fleet"
)

// Credentials says how the users' passwords reach the container: the values of EnvCredentials.
type Credentials string

const (
	// CredentialsSecretsManager: one generated secret for each user, which ECS puts into the
	// environment.
	CredentialsSecretsManager Credentials = "secretsmanager"
	// CredentialsImage: the password file, with Digest hashes, is part of the image.
	CredentialsImage Credentials = "image"
)

// EgressOff is the value of EnvEgressURL with which the entrypoint asks nobody for its address.
const EgressOff = "off"

// Health is the argument with which the entrypoint checks a running container.
const Health = "health"

// Digest is the argument with which the entrypoint checks credentials, as Squid's helper.
const Digest = "digest"

// How a container ends. ECS sends SIGTERM and, StopTimeout later, SIGKILL. Meanwhile the entrypoint
//
//	waits for the clients' connections to end        at most DrainTimeout, 110 s
//	lets Squid log what it cuts, then kills it       StopGrace, 3 s
//	copies the rest of the log and ends              LogGrace, 2 s
//
// That is 115 s, and leaves 5 s for a busy machine.
const (
	// StopTimeout is the task definition's, and the most that Fargate allows.
	StopTimeout = 120 * time.Second
	// DrainTimeout is the default of EnvDrainTimeout.
	DrainTimeout = 110 * time.Second
	StopGrace    = 3 * time.Second
	LogGrace     = 2 * time.Second
)

// This line does not compile if the sum is longer than the stop timeout: a negative constant is
// no uint.
const _ = uint(StopTimeout - DrainTimeout - StopGrace - LogGrace)

// HealthTimeout is how long the health check waits for Squid. The task definition's timeout is
// longer, so that the check can print its reason.
const HealthTimeout = 3 * time.Second
