package params

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// span limits a duration: from least to most, a multiple of step.
type span struct {
	least, most, step time.Duration
	steps             string // the step's name in the plural
	reason            string // why not more, or empty
}

// duration is a length of time like 90m, 1h30m or 7d.
func duration(s span) kind[time.Duration] {
	limits := fmt.Sprintf("%s to %s in whole %s", format(s.least), format(s.most), s.steps)
	if s.reason != "" {
		limits += ", because " + s.reason
	}
	return scalar("duration", limits, func(value any) (time.Duration, error) {
		word, _ := value.(string)
		d, ok := parseDuration(word)
		if !ok {
			return 0, fmt.Errorf(`%s is not a duration such as "90s", "1h30m" or "7d"; give %s`, show(value), limits)
		}
		if d < s.least || d > s.most || d%s.step != 0 {
			return 0, fmt.Errorf("%s is not within limits; give %s", word, limits)
		}
		return d, nil
	})
}

// durationForm allows so few digits that the sum always fits into a time.Duration.
var durationForm = regexp.MustCompile(`^(?:(\d{1,4})d)?(?:(\d{1,6})h)?(?:(\d{1,7})m)?(?:(\d{1,9})s)?$`)

// parseDuration reads days, hours, minutes and seconds, in this order and each at most once.
// Unlike time.ParseDuration it reads days, and no fractions, signs or shorter units.
func parseDuration(s string) (time.Duration, bool) {
	parts := durationForm.FindStringSubmatch(s)
	if parts == nil || s == "" {
		return 0, false
	}
	var d time.Duration
	for i, unit := range []time.Duration{24 * time.Hour, time.Hour, time.Minute, time.Second} {
		n, _ := strconv.Atoi(parts[i+1]) // digits or nothing
		d += time.Duration(n) * unit
	}
	return d, true
}

// format writes a duration as parseDuration reads it, in the units it fills.
func format(d time.Duration) string {
	var s string
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if n := d / unit.length; n > 0 {
			s += fmt.Sprintf("%d%s", n, unit.name)
			d %= unit.length
		}
	}
	if s == "" {
		return "0s"
	}
	return s
}
