// Package paste writes the commands and URLs that the program prints for people to paste.
package paste

import (
	"net/url"
	"strings"

	"squidfleet/squid"
)

// Way is how clients reach the proxy.
type Way struct {
	// Auth is what the proxy asks for.
	Auth squid.Auth
	// TLS is whether clients speak TLS to the proxy.
	TLS bool
	// CA is the file of the CA that the proxy's certificate is by; "" for one of the machine's.
	CA string
}

// Via is the options with which curl goes through the proxy.
//
// A password is in the proxy's URL, because curl decodes %XX there once. In --proxy-user and in
// what is typed, curl 7.88 decodes twice, and curl from 8.8 on once.
type Via string

// Open is for a fleet that asks for no password.
func (w Way) Open(endpoint string) Via { return w.via(w.URL(endpoint, nil)) }

// Asking has curl ask for the password. One with % and two hex digits cannot be typed.
func (w Way) Asking(endpoint, name string) Via {
	return w.Open(endpoint) + w.scheme() + Via(" --proxy-user "+Word(name))
}

// WithPassword has the password in the command.
func (w Way) WithPassword(endpoint, name, password string) Via {
	return w.via(Word(w.URL(endpoint, url.UserPassword(name, password)))) + w.scheme()
}

// WithVariable takes the password from an environment variable. Every byte of it is encoded.
func (w Way) WithVariable(endpoint, name, variable string) Via {
	encoded := `$(printf %s "$` + variable + `" | od -An -v -tx1 | tr ' ' % | tr -d '\n')`
	proxy := strings.Replace(w.URL(endpoint, url.User(name)), "@", ":"+encoded+"@", 1)
	return w.via(`"`+proxy+`"`) + w.scheme()
}

// URL is that of the proxy, with a user or nil, as programs take it from the environment. The
// endpoint may be a reference that the CDK resolves later, and is left as it is.
func (w Way) URL(endpoint string, user *url.Userinfo) string {
	scheme := "http://"
	if w.TLS {
		scheme = "https://"
	}
	if user != nil {
		scheme += user.String() + "@"
	}
	return scheme + endpoint
}

func (w Way) via(proxy string) Via {
	if w.CA != "" {
		proxy += " --proxy-cacert " + Word(w.CA)
	}
	return Via("--proxy " + proxy)
}

// scheme is Digest wherever the fleet takes it: it shows nobody the password.
func (w Way) scheme() Via {
	if w.Auth == squid.AuthBasic {
		return " --proxy-basic"
	}
	return " --proxy-digest"
}

// Curl is a command that asks for a page. Options come before all else.
func Curl(via Via, page string, options ...string) string {
	return strings.Join(append(append([]string{"curl"}, options...), string(via), page), " ")
}

// Export is a command that sets an environment variable.
func Export(name, value string) string { return "export " + name + "=" + Word(value) }

// Word quotes a word for a POSIX shell where it needs it.
func Word(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' ||
			strings.ContainsRune("._-@+:/%", r)
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
