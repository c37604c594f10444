// Package paste writes the commands and URLs that the program prints for people to paste.
package paste

import (
	"net/url"
	"strings"
)

// Via is the options with which curl goes through the proxy.
//
// A password is in the proxy's URL, because curl decodes %XX there once. In --proxy-user and in
// what is typed, curl 7.88 decodes twice, and curl from 8.8 on once.
type Via string

// Asking has curl ask for the password. One with % and two hex digits cannot be typed.
func Asking(endpoint, name string) Via {
	return Via("--proxy http://" + endpoint + " --proxy-digest --proxy-user " + Word(name))
}

// WithPassword has the password in the command.
func WithPassword(endpoint, name, password string) Via {
	return Via("--proxy " + Word(Proxy(endpoint, name, password)) + " --proxy-digest")
}

// WithVariable takes the password from an environment variable. Every byte of it is encoded.
func WithVariable(endpoint, name, variable string) Via {
	encoded := `$(printf %s "$` + variable + `" | od -An -v -tx1 | tr ' ' % | tr -d '\n')`
	return Via(`--proxy "http://` + url.User(name).String() + ":" + encoded + "@" + endpoint + `" --proxy-digest`)
}

// Curl is a command that asks for a page. Options come before all else.
func Curl(via Via, page string, options ...string) string {
	return strings.Join(append(append([]string{"curl"}, options...), string(via), page), " ")
}

// Proxy is the URL of the proxy with a user's password, as programs take it from the environment.
func Proxy(endpoint, name, password string) string {
	return (&url.URL{Scheme: "http", User: url.UserPassword(name, password), Host: endpoint}).String()
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
