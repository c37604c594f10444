package integration

import (
	"net/netip"
	"testing"

	"squidfleet/internal/rig"
)

// Where answers do not come from the world's origins, but from the rig's.
const (
	besideTarget  = "http://origin.example:82/"
	scratchTarget = "http://origin.example:83/"
)

// bob is another user than client's, at another address.
func bob(task *squidTask) rig.Client {
	c := client(task).At(netip.MustParseAddr("198.51.100.8"))
	c.User, c.Password = "bob", "another password"
	return c
}

func TestNoUserGetsBytesOfAnother(t *testing.T) {
	inBothModes(t, func(t *testing.T, mode map[string]any) {
		newWorld(t)
		task := startTask(t, options(map[string]any{"httpPorts": "80,83", "digest": mode["digest"]}))
		for _, problem := range rig.SharingProblems(t, client(task), bob(task), scratchTarget) {
			t.Error(problem)
		}
	})
}

// Whatever a client's request looks like, the destination gets one request a connection, with one
// end.
func TestADestinationGetsOneRequestAConnection(t *testing.T) {
	inBothModes(t, func(t *testing.T, mode map[string]any) {
		newWorld(t)
		task := startTask(t, options(map[string]any{"httpPorts": "80,82,83", "digest": mode["digest"]}))
		rig.Beside(t, bob(task), besideTarget)
		for _, problem := range rig.FramingProblems(t, client(task), scratchTarget) {
			t.Error(problem)
		}
	})
}
