package paste

import "strings"

// OverTLS goes to the proxy by TLS and trusts the CA of a file, and no other, for that.
func (v Via) OverTLS(ca string) Via {
	return Via(strings.Replace(string(v), "http://", "https://", 1) + " --proxy-cacert " + Word(ca))
}
