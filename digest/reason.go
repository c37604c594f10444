package digest

// Reason is why a request was refused. It is for the log: a client sees only the challenge.
type Reason uint8

// The reasons. "stale" marks those where the password was right, and the challenge says so.
const (
	Accepted            Reason = iota
	NoCredentials              // no header
	NotDigest                  // another scheme
	NotBasic                   // another scheme, where only Basic can be checked
	HeaderTooLong              // more than 16 KiB, or more than 32 parameters
	HeaderMalformed            // not the grammar, or a value out of range
	ParameterRepeated          // twice the same, or username beside username*
	ParameterMissing           // one that qop=auth needs
	UserhashRefused            // userhash=true, which is not offered
	SessionAlgorithm           // an algorithm that ends in -sess
	AlgorithmNotOffered        // neither MD5 nor SHA-256, or SHA-256 without hashes for it
	QopNotOffered              // anything but auth
	RealmMismatch              // another realm
	UnknownUser                // counts as a guess
	WrongPassword              // counts as a guess
	TargetMismatch             // right for another target than the requested one
	NonceForeign               // stale: forged, another client's, or under a key we do not have
	NonceFuture                // stale: made later than the clock skew allows
	NonceExpired               // stale: older than its life
	ProofNeeded                // stale: guesses from here; the new nonce leads to an exemption
	Throttled                  // not checked: too many guesses from here; no challenge
	LineMalformed              // Squid's line is not what the helper expects; no challenge
	LineTooLong                // Squid's line exceeds the helper's buffer; no challenge
	reasons
)

var reasonNames = [reasons]string{
	Accepted: "accepted", NoCredentials: "no-credentials", NotDigest: "not-digest",
	NotBasic:      "not-basic",
	HeaderTooLong: "header-too-long", HeaderMalformed: "header-malformed",
	ParameterRepeated: "parameter-repeated", ParameterMissing: "parameter-missing",
	UserhashRefused: "userhash-refused", SessionAlgorithm: "session-algorithm",
	AlgorithmNotOffered: "algorithm-not-offered", QopNotOffered: "qop-not-offered",
	RealmMismatch: "realm-mismatch", UnknownUser: "unknown-user", WrongPassword: "wrong-password",
	TargetMismatch: "target-mismatch", NonceForeign: "nonce-foreign", NonceFuture: "nonce-future",
	NonceExpired: "nonce-expired", ProofNeeded: "proof-needed", Throttled: "throttled",
	LineMalformed: "line-malformed", LineTooLong: "line-too-long",
}

// String returns the reason as one word of lower-case letters and hyphens.
func (r Reason) String() string { return reasonNames[r] }
