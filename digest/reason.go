package digest

// Reason is why a request was refused, in one word of lower-case letters and hyphens. It is for the
// log: a client sees only the challenge.
type Reason string

// The reasons. "stale" marks those where the password was right, and the challenge says so.
const (
	Accepted            Reason = ""
	NoCredentials       Reason = "no-credentials"        // no header
	NotDigest           Reason = "not-digest"            // another scheme
	NotBasic            Reason = "not-basic"             // another scheme, where only Basic can be checked
	HeaderTooLong       Reason = "header-too-long"       // more than 16 KiB, or more than 32 parameters
	HeaderMalformed     Reason = "header-malformed"      // not the grammar, or a value out of range
	ParameterRepeated   Reason = "parameter-repeated"    // twice the same, or username beside username*
	ParameterMissing    Reason = "parameter-missing"     // one that qop=auth needs
	UserhashRefused     Reason = "userhash-refused"      // userhash=true, which is not offered
	SessionAlgorithm    Reason = "session-algorithm"     // an algorithm that ends in -sess
	AlgorithmNotOffered Reason = "algorithm-not-offered" // neither MD5 nor SHA-256, or SHA-256 without hashes for it
	QopNotOffered       Reason = "qop-not-offered"       // anything but auth
	RealmMismatch       Reason = "realm-mismatch"        // another realm
	UnknownUser         Reason = "unknown-user"          // counts as a guess
	WrongPassword       Reason = "wrong-password"        // counts as a guess
	TargetMismatch      Reason = "target-mismatch"       // right for another target than the requested one
	NonceForeign        Reason = "nonce-foreign"         // stale: forged, another client's, or of another key
	NonceFuture         Reason = "nonce-future"          // stale: made later than the clock skew allows
	NonceExpired        Reason = "nonce-expired"         // stale: older than its life
	ProofNeeded         Reason = "proof-needed"          // stale: guesses from here; the new nonce exempts
	Throttled           Reason = "throttled"             // not checked: too many guesses from here; no challenge
	LineMalformed       Reason = "line-malformed"        // Squid's line is not what the helper expects; no challenge
	LineTooLong         Reason = "line-too-long"         // Squid's line exceeds the helper's buffer; no challenge
)
