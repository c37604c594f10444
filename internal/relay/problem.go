package relay

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"syscall"
)

// problem is why a request could not be sent on or answered.
type problem struct {
	kind string // of RFC 9209
	port *port  // nil: none was chosen
	err  error
	// final: another connection would not help.
	final bool
}

func (p *problem) Error() string { return p.err.Error() }
func (p *problem) Unwrap() error { return p.err }

// wrongSetup is a problem that only the operator can solve.
func wrongSetup(p *port, err error) *problem {
	return &problem{"proxy_configuration_error", p, err, true}
}

// classify gives an error its kind. Without a better one it is other.
func classify(p *port, err error, other string) *problem {
	if already, is := errors.AsType[*problem](err); is {
		return already
	}
	timeout, _ := errors.AsType[net.Error](err)
	final := false
	switch {
	case errors.As(err, new(*tls.CertificateVerificationError)), errors.As(err, new(x509.UnknownAuthorityError)):
		other, final = "tls_certificate_error", true
	case errors.As(err, new(tls.RecordHeaderError)), errors.As(err, new(tls.AlertError)):
		other = "tls_protocol_error"
	case errors.As(err, new(*net.DNSError)):
		other = "dns_error"
	case errors.Is(err, syscall.ECONNREFUSED):
		other = "connection_refused"
	case timeout != nil && timeout.Timeout():
		other = "connection_timeout"
	}
	return &problem{other, p, err, final}
}
