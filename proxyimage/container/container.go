// Package container holds the facts on which the Dockerfile, the entrypoint and the task definition must agree:
// paths, the user, the names of the environment, and the seconds a container has to stop.
//
// It imports next to nothing, so that the entrypoint, which is the image's first process, stays small.
package container

import "time"

// Where things are, as absolute paths inside the container.
const (
	// Dir is Squid's working directory: squid.conf holds paths relative to it only.
	Dir = "/srv/squidfleet"
	// RunDir is the only directory that must be writable; the task definition mounts a volume there.
	RunDir = Dir + "/" + Run
	// EntrypointPath is the image's ENTRYPOINT.
	EntrypointPath = Dir + "/" + Entrypoint
	// SquidPath is Debian's Squid.
	SquidPath = "/usr/sbin/squid"
)

// Names inside Dir, and inside the build context, which has the same layout.
const (
	// Entrypoint is the static binary that runs as process 1.
	Entrypoint = "entrypoint"
	// SquidConf is the rendered configuration.
	SquidConf = "squid.conf"
	// ErrorDir holds the error pages.
	ErrorDir = "errors"
	// Localtime is a TZif file, the time zone of the log.
	Localtime = "localtime"
	// Passwords is the Digest password file when it is part of the image (credentials=image).
	Passwords = "passwords"
	// Run is the writable directory.
	Run = "run"
	// RunPasswords is the Digest password file when the entrypoint writes it (credentials=secretsmanager).
	RunPasswords = Run + "/" + Passwords
	// RunKeys holds the keys of the nonces, which the entrypoint writes (digest=fleet).
	RunKeys = Run + "/keys"
)

// UID and GID are the numbers of the unprivileged user. They stand in the image without a name.
const (
	UID = 10001
	GID = 10001
)

// The environment of the entrypoint; its package comment says what each variable means.
const (
	// EnvPrefix begins every name that is ours. A name with it that the entrypoint does not know is an error.
	EnvPrefix = "SQUIDFLEET_"

	EnvDir         = EnvPrefix + "DIR"
	EnvSquid       = EnvPrefix + "SQUID"
	EnvName        = EnvPrefix + "NAME"
	EnvCredentials = EnvPrefix + "CREDENTIALS"
	EnvRealm       = EnvPrefix + "REALM"
	EnvUsers       = EnvPrefix + "USERS"
	EnvDigest      = EnvPrefix + "DIGEST"
	EnvDigestKeys  = EnvPrefix + "DIGEST_KEYS"
	// EnvPassword begins the name of each user's password variable, which [squidfleet/squid.PasswordVariable] makes.
	EnvPassword     = EnvPrefix + "PASSWORD_"
	EnvEgressURL    = EnvPrefix + "EGRESS_URL"
	EnvDrainTimeout = EnvPrefix + "DRAIN_TIMEOUT"
)

// Credentials says how the users' passwords reach the container: the values of EnvCredentials.
type Credentials string

const (
	// CredentialsSecretsManager: one generated secret for each user, which ECS puts into the environment.
	CredentialsSecretsManager Credentials = "secretsmanager"
	// CredentialsImage: the password file, with Digest hashes, is part of the image.
	CredentialsImage Credentials = "image"
)

// EgressOff is the value of EnvEgressURL that asks nobody.
const EgressOff = "off"

// Health is the argument that makes the entrypoint check a running container instead of being one: the health check's
// command is EntrypointPath and Health.
const Health = "health"

// Digest is the argument that makes the entrypoint Squid's helper for checking credentials; squid.conf names it.
const Digest = "digest"

// How a container ends. ECS sends SIGTERM and, StopTimeout later, SIGKILL. In between the entrypoint
//
//	waits for the clients' connections to end, at most    DrainTimeout   110 s
//	gives Squid time to log what it cuts, then kills it   StopGrace        3 s (Squid takes 1 to 2.2 s, measured)
//	copies the rest of the log and ends                   LogGrace         2 s
//	                                                                     -----
//	                                                                     115 s, and 5 s to spare on a busy machine
const (
	// StopTimeout is what the task definition asks for; it is also the most that Fargate gives.
	StopTimeout = 120 * time.Second
	// DrainTimeout is the default of EnvDrainTimeout.
	DrainTimeout = 110 * time.Second
	StopGrace    = 3 * time.Second
	LogGrace     = 2 * time.Second
)

// A negative constant does not fit: this line stops compiling when the sum no longer fits into the stop timeout.
const _ = uint(StopTimeout - DrainTimeout - StopGrace - LogGrace)

// HealthTimeout is how long the health check waits for Squid. The task definition's own timeout has to be longer, so that
// the check's reason is told.
const HealthTimeout = 3 * time.Second
