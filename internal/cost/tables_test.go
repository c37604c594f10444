package cost

import (
	"fmt"
	"strings"
	"testing"

	"squidfleet/internal/doctest"
	"squidfleet/params"
)

// workdays is mon-fri 07:00-19:00.
const workdays = 5. * 12 / (7 * 24)

func parse(t *testing.T, values map[string]any) *params.Params {
	t.Helper()
	p, err := params.Parse(values)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestTheDocumentHoldsTheTables: what an address costs, and one of its values.
func TestTheDocumentHoldsTheTables(t *testing.T) {
	var b strings.Builder
	fmt.Fprintln(&b, "| | never rotated | `rotateEvery` 1h | 1h, `activeHours` mon-fri 07:00-19:00 |\n|---|---|---|---|")
	for _, architecture := range []params.Architecture{params.X8664, params.ARM64} {
		for _, spot := range []bool{false, true} {
			values := map[string]any{"architecture": string(architecture), "rotateEvery": "off"}
			name := string(architecture)
			if spot {
				name += ", Spot"
			}
			fmt.Fprintf(&b, "| %s | $%.2f", name, usEast1.Address(parse(t, values), spot, month.Hours()))
			values["rotateEvery"] = "1h"
			p := parse(t, values)
			fmt.Fprintf(&b, " | $%.2f | $%.2f |\n", usEast1.Address(p, spot, month.Hours()),
				usEast1.Address(p, spot, month.Hours()*workdays))
		}
	}
	doctest.Section(t, "../..", "address costs", b.String())

	b.Reset()
	fmt.Fprintln(&b, "| `rotateEvery` | distinct addresses a day | each, x86_64 | each, arm64 on Spot |\n|---|---|---|---|")
	for _, every := range []string{"12m", "15m", "30m", "1h", "4h", "12h", "1d", "7d"} {
		x86 := parse(t, map[string]any{"rotateEvery": every})
		arm := parse(t, map[string]any{"rotateEvery": every, "architecture": "arm64"})
		fmt.Fprintf(&b, "| %s | %.3g | %.2f¢ | %.2f¢ |\n", every, 24/x86.RotateEvery.Hours(),
			100*usEast1.Distinct(x86, false), 100*usEast1.Distinct(arm, true))
	}
	doctest.Section(t, "../..", "distinct costs", b.String())
}
