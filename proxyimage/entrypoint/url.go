package main

import "bytes"

// withheld stands in the log for a URL that is not written. It is no URL, and no host and port.
var withheld = []byte("withheld")

// maxHost is longer than any name in DNS. What is longer may be user information that Squid has cut
// before its end.
const maxHost = 255

// publicPart returns a URL of the access log without its query and fragment; false if nothing of
// it may be written. It knows what may be written: http:// or https://, a host, perhaps a port,
// perhaps a path; or a host and a port (CONNECT's). Anything else may hold user information, or a
// secret in a place that nobody has thought of.
//
// The text is URL-escaped, perhaps twice: Squid escapes some of it before it writes the log.
func publicPart(url []byte) (part []byte, ok bool) {
	if bytes.Equal(url, nothing) {
		return url, true
	}
	rest, isURL := bytes.CutPrefix(url, httpBegin)
	if !isURL {
		rest, isURL = bytes.CutPrefix(url, httpsBegin)
	}
	if rest, ok = afterHost(rest); !ok {
		return nil, false
	}
	if !isURL || len(rest) > 0 && rest[0] == ':' {
		if rest, ok = afterPort(rest); !ok {
			return nil, false
		}
	}
	end := pathEnd(rest)
	if !isURL && len(rest) > 0 || end > 0 && rest[0] != '/' {
		return nil, false
	}
	if end < len(rest) && rest[end] == '?' {
		end++ // the mark alone says that there was a query
	}
	return url[:len(url)-len(rest)+end], true
}

// afterHost returns what follows a name or an address at the text's begin; false if there is
// neither.
func afterHost(text []byte) (rest []byte, ok bool) {
	isAddress, n := bytes.HasPrefix(text, openingBracket), 0
	if isAddress {
		text = text[len(openingBracket):]
	}
	for n < len(text) && (isNameByte(text[n]) || isAddress && text[n] == ':') {
		n++
	}
	rest, ok = text[n:], 0 < n && n <= maxHost
	if ok && isAddress {
		rest, ok = bytes.CutPrefix(rest, closingBracket)
	}
	return rest, ok
}

// afterPort returns what follows a colon and up to five digits at the text's begin.
func afterPort(text []byte) (rest []byte, ok bool) {
	n := 1
	for n < len(text) && '0' <= text[n] && text[n] <= '9' {
		n++
	}
	if len(text) == 0 || text[0] != ':' || n == 1 || n > 6 {
		return nil, false
	}
	return text[n:], true
}

// pathEnd is where a query or a fragment begins: at ? or #, however often they are escaped.
func pathEnd(text []byte) int {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '?', '#':
			return i
		case '%':
			code := text[i+1:]
			for bytes.HasPrefix(code, escapedPercent) {
				code = code[len(escapedPercent):]
			}
			if len(code) >= 2 && (code[0] == '2' && code[1] == '3' || code[0] == '3' && code[1]|0x20 == 'f') {
				return i
			}
		}
	}
	return len(text)
}

var (
	httpBegin, httpsBegin          = []byte("http://"), []byte("https://")
	openingBracket, closingBracket = []byte("%5B"), []byte("%5D") // of an IPv6 address
	escapedPercent                 = []byte("25")
)

func isNameByte(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' || c == '.' || c == '-' || c == '_'
}
