package params

import (
	_ "embed"
	"errors"
	"fmt"
	"regexp"
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

// offset is a distance from UTC as people write it.
var offset = regexp.MustCompile(`^(?i:Etc/)?(?i:UTC|GMT)?([+-])0?(\d{1,2})(?::?00)?$`)

// fixedZone proposes the zone that a distance from UTC means. In the database's own names the
// sign is the opposite one.
func fixedZone(sign, hours string, known []string) string {
	opposite, where := "-", "ahead of"
	if sign == "-" {
		opposite, where = "+", "behind"
	}
	zone := "Etc/GMT" + opposite + hours
	if _, ok := slices.BinarySearch(known, zone); !ok {
		return "give "
	}
	return fmt.Sprintf("%s is %sh %s UTC, because the sign in these names is the opposite one; give that or ",
		zone, hours, where)
}

func checkTimezone(s string) error {
	known := strings.Fields(zones)
	if _, ok := slices.BinarySearch(known, s); ok {
		return nil
	}
	message := show(s) + " is not an IANA time zone; "
	if parts := offset.FindStringSubmatch(s); parts != nil {
		return errors.New(message + fixedZone(parts[1], parts[2], known) + "a city's, such as Europe/Berlin")
	}
	if i, _ := slices.BinarySearch(known, s+"/"); i < len(known) && strings.HasPrefix(known[i], s+"/") {
		return errors.New(message + "give the place as well, as in " + known[i])
	}
	if near := nearest(s, known); near != "" {
		return errors.New(message + "did you mean " + near + "?")
	}
	return errors.New(message + "give a name such as UTC, Europe/Berlin or Asia/Tokyo")
}
