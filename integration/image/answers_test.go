package image

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"squidfleet/internal/differences"
	"squidfleet/internal/must"
	"squidfleet/internal/rig"
)

// The image's Squid is another version than a machine's: destinations and other users can do no
// more to it. The answers are fewer here.
func TestDestinationsAndUsersOfAContainer(t *testing.T) {
	for _, mode := range []string{inSecrets, inImage} {
		t.Run(mode, func(t *testing.T) {
			const target = "http://151.101.1.69/"
			p := start(t, mode)
			alice := p.client()
			bob := alice.At(netip.MustParseAddr("198.51.100.8"))
			bob.User, bob.Password = "bob", passwords["bob"]
			rig.CheckAnswers(t, t.Errorf, alice, target)
			rig.CheckSharing(t, t.Errorf, alice, bob, target)
			rig.CheckFraming(t, t.Errorf, alice, target)
			conf, err := os.ReadFile(filepath.Join(p.fleet.context, "squid.conf"))
			must.OK(t, err)
			before, answers := p.squidPid(), rig.AnswersFor(string(conf))
			answers.Ask(t, alice, target, 3_000)
			rig.StartOrigins(t, []int{80}, nil)
			if response := p.get(target); response.StatusCode != 200 {
				t.Errorf("a good request afterwards: %s", response.Status)
			}
			if _, stderr := p.logs(); p.squidPid() != before || strings.Contains(stderr, "assertion") {
				t.Errorf("process %d is %d", before, p.squidPid())
			}
		})
	}
}

// What docs/use.md says of the image's Squid is so.
func TestDifferencesFromADirectConnection(t *testing.T) {
	differences.Run(t, start(t, inSecrets).client(), 6)
}
