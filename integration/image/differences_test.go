package image

import (
	"testing"

	"squidfleet/internal/differences"
)

// What docs/use.md says of the image's Squid is so.
func TestDifferencesFromADirectConnection(t *testing.T) {
	differences.Run(t, start(t, inSecrets).client(), 6)
}
