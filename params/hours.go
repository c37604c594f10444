package params

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// ActiveHours is when the addresses run. The zero value means always.
type ActiveHours struct {
	Days  []time.Weekday // on which they start, Monday first; none: always
	Start time.Duration  // after midnight, in whole minutes
	Stop  time.Duration  // likewise; before Start it is on the next day
}

// always stands for no hours at all in activeHours.
const always = "always"

// HoursRetry is how long a start or a stop that fails is tried again.
const HoursRetry = 30 * time.Minute

// leastHours is how long addresses run, and rest, at least. A start that is tried again is over
// before the stop, and the other way round.
const leastHours = 2 * HoursRetry

const hoursExample = "mon-fri 07:00-19:00"

var (
	hoursForm = regexp.MustCompile(`^([a-z,-]+) (\d\d:\d\d)-(\d\d:\d\d)$`)
	weekdays  = []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}
)

// activeHours is a text such as hoursExample, or always.
func activeHours() kind[ActiveHours] {
	const days = "days are mon to sun: one, a range, or several with commas between them"
	limits := fmt.Sprintf("`%s`, or days and hours such as `%s`; %s", always, hoursExample, days)
	return scalar("string", limits, func(value any) (h ActiveHours, err error) {
		word, _ := value.(string)
		if word == always {
			return h, nil
		}
		parts := hoursForm.FindStringSubmatch(word)
		if parts == nil {
			return h, fmt.Errorf("%s names no hours; give %s, or days and hours such as %s", show(value), always,
				hoursExample)
		}
		if h.Days = parseDays(parts[1]); h.Days == nil {
			return h, fmt.Errorf("%s names no days; %s", show(parts[1]), days)
		}
		for i, clock := range []*time.Duration{&h.Start, &h.Stop} {
			at, err := time.Parse("15:04", parts[i+2])
			if err != nil {
				return h, fmt.Errorf("%s is no time of day; give 00:00 to 23:59", show(parts[i+2]))
			}
			*clock = time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute
		}
		if length := (h.Stop - h.Start + 24*time.Hour) % (24 * time.Hour); length < leastHours ||
			length > 24*time.Hour-leastHours {
			return h, fmt.Errorf("%s is too short, or leaves too little of a day; give %s at least of both", show(word),
				format(leastHours))
		}
		return h, nil
	})
}

// parseDays returns the days of a list such as mon-wed,fri, in the order of the week. It returns
// none if the list is wrong or names a day twice.
func parseDays(list string) []time.Weekday {
	named := [7]bool{}
	for part := range strings.SplitSeq(list, ",") {
		first, last, ranged := strings.Cut(part, "-")
		if !ranged {
			last = first
		}
		from, to := slices.Index(weekdays, first), slices.Index(weekdays, last)
		if from < 0 || to < from {
			return nil
		}
		for day := from; day <= to; day++ {
			if named[day] {
				return nil
			}
			named[day] = true
		}
	}
	var days []time.Weekday
	for day, is := range named {
		if is {
			days = append(days, time.Weekday((day+1)%7)) // Go's week begins on Sunday
		}
	}
	return days
}
