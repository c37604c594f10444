package params

import (
	_ "embed"
	"errors"
	"slices"
	"strings"
)

// zones lists the time zones of Go's copy of the IANA database, one a line, sorted.
// time.LoadLocation asks the machine's database first, so the same parameters could be right on
// one machine and wrong on another. The file is the output of
//
//	unzip -Z1 "$(go env GOROOT)/lib/time/zoneinfo.zip" |
//		grep -v -e '/$' -e '^Factory$' | LC_ALL=C sort
//
// Factory stands for a clock that nobody has set.
//
//go:embed zones.txt
var zones string

func checkTimezone(s string) error {
	known := strings.Fields(zones)
	if _, ok := slices.BinarySearch(known, s); ok {
		return nil
	}
	message := show(s) + " is not an IANA time zone; "
	if i, _ := slices.BinarySearch(known, s+"/"); i < len(known) && strings.HasPrefix(known[i], s+"/") {
		return errors.New(message + "give the place as well, as in " + known[i])
	}
	if near := nearest(s, known); near != "" {
		return errors.New(message + "did you mean " + near + "?")
	}
	return errors.New(message + "give a name such as UTC, Europe/Berlin or Asia/Tokyo")
}
