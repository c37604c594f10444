package rig

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"

	"github.com/icholy/digest"
)

// Basic is the value of a header with Basic credentials.
func Basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// Credentials is the header line with which the client sends its next request. Squid's challenges
// are for any request, also for one that it would not read.
func (c Client) Credentials(method, target string) (line string, err error) {
	if c.Algorithm == "Basic" { // which needs no challenge
		return "Proxy-Authorization: " + Basic(c.User, c.Password), nil
	}
	stranger := c
	stranger.User = ""
	challenge, err := stranger.Request(http.MethodGet, page)
	if err != nil {
		return "", err
	}
	return c.Authorization(challenge.Response, method, target)
}

// Authorization is the header line that answers the challenge of a 407.
func (c Client) Authorization(response *http.Response, method, target string) (string, error) {
	challenge, err := Challenge(response, c.Algorithm)
	if err != nil {
		return "", err
	}
	if challenge == nil {
		return "Proxy-Authorization: " + Basic(c.User, c.Password), nil
	}
	return c.Answer(challenge, 1, method, target)
}

// Answer is the header line of the request with that number under a challenge.
func (c Client) Answer(challenge *digest.Challenge, count int, method, target string) (string, error) {
	uri := c.URI
	if uri == "" {
		uri = target
		if _, rest, isURL := strings.Cut(target, "://"); isURL && method != http.MethodConnect {
			uri = "/"
			if i := strings.IndexAny(rest, "/?"); i >= 0 {
				uri = rest[i:]
			}
		}
	}
	credentials, err := digest.Digest(challenge, digest.Options{
		Method: method, URI: uri, Count: count, Cnonce: "c", Username: c.User, Password: c.Password,
	})
	if err != nil {
		return "", err
	}
	return "Proxy-Authorization: " + credentials.String(), nil
}

// Challenge is the first challenge for an algorithm, or the first of all without one; nil is Basic.
func Challenge(response *http.Response, algorithm string) (*digest.Challenge, error) {
	challenges := response.Header.Values("Proxy-Authenticate")
	for _, text := range challenges {
		if strings.HasPrefix(text, "Basic ") {
			if algorithm == "" || algorithm == "Basic" {
				return nil, nil
			}
			continue
		}
		challenge, err := digest.ParseChallenge(text)
		if err != nil {
			return nil, fmt.Errorf("challenge %q: %w", text, err)
		}
		if algorithm == "" || strings.EqualFold(cmp.Or(challenge.Algorithm, "MD5"), algorithm) {
			return challenge, nil
		}
	}
	return nil, fmt.Errorf("no challenge that can be answered among %q", challenges)
}
