package relay

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/icholy/digest"
)

// login is a user of a fleet and what the fleet asked for last. All connections share it.
type login struct {
	user, password string
	basic          bool // the password itself may be sent

	asking sync.Mutex // held while a connection fetches a challenge for all

	mu        sync.Mutex
	challenge *challenge // nil: not asked yet
}

// challenge is what a fleet asks for.
type challenge struct {
	digest *digest.Challenge // nil: Basic
	at     time.Time
	count  int // login.mu guards it
}

// bodyNonce is how old a nonce may be under which a request with a body is sent: it cannot be sent
// again. The fleet's nonces live for 30 minutes.
const bodyNonce = 10 * time.Minute

// ready reports whether a request can be sent, and does not need a challenge first.
func (l *login) ready(hasBody bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.challenge
	return l.user == "" || c != nil && (c.digest == nil || !hasBody || time.Since(c.at) <= bodyNonce)
}

// answer is the value of Proxy-Authorization for a request, or "" without a user.
func (l *login) answer(method, uri string) (string, error) {
	if l.user == "" {
		return "", nil
	}
	l.mu.Lock()
	c := l.challenge
	c.count++
	count := c.count
	l.mu.Unlock()
	if c.digest == nil {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(l.user+":"+l.password)), nil
	}
	d, err := digest.Digest(c.digest,
		digest.Options{Method: method, URI: uri, Count: count, Username: l.user, Password: l.password})
	if err != nil {
		return "", err
	}
	// The library's own text escapes bytes beyond ASCII.
	text := "Digest username=" + quoted(d.Username) + ", realm=" + quoted(d.Realm) + ", nonce=" + quoted(d.Nonce) +
		", uri=" + quoted(d.URI) + ", response=" + quoted(d.Response) + ", algorithm=" + cmp.Or(d.Algorithm, "MD5")
	if d.QOP != "" {
		text += ", cnonce=" + quoted(d.Cnonce) + ", qop=" + d.QOP + fmt.Sprintf(", nc=%08x", d.Nc)
	}
	return text, nil
}

var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

func quoted(text string) string { return `"` + escape.Replace(text) + `"` }

var (
	errPlaintext = errors.New("the fleet asks for Basic without TLS, which shows the password to the network; " +
		"--plaintext-basic allows it")
	errNoScheme = errors.New("the fleet asks for neither Digest nor Basic")
)

// learn takes the challenge of a 407. Digest comes before Basic, whatever the order.
func (l *login) learn(h *head) error {
	next, offersBasic := &challenge{at: time.Now()}, false
	for _, value := range h.values("Proxy-Authenticate") {
		c, err := digest.ParseChallenge(value)
		if err == nil && digest.CanDigest(c) && next.digest == nil {
			next.digest = c
		}
		scheme, _, _ := strings.Cut(value, " ")
		offersBasic = offersBasic || strings.EqualFold(scheme, "Basic")
	}
	switch {
	case next.digest != nil:
	case !offersBasic:
		return errNoScheme
	case !l.basic:
		return errPlaintext
	}
	l.mu.Lock()
	l.challenge = next
	l.mu.Unlock()
	return nil
}
