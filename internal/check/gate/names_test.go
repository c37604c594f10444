package gate

import (
	"maps"
	"testing"
)

// The default has no lists of names, so that no mistake of promises_test.go is about them.
func TestRulesAboutNamesArePromised(t *testing.T) {
	for _, line := range []string{
		"http_access deny !allowed_domains\n", "http_access deny blocked_domains\n",
		"acl allowed_domains dstdomain -n example.org\n", "acl blocked_domains dstdomain -n private.example.com\n",
	} {
		e := edited{t, maps.Clone(assembly(t, "everything"))}
		replace("squid.conf", line, "")(e)
		if findings := load(t, e.files).Broken(); len(findings) != 1 || findings[0].Rule != "squid-access" {
			t.Errorf("without %q: %v, want one finding of promise squid-access", line, findings)
		}
	}
}
