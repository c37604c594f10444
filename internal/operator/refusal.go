package operator

import "fmt"

// Refusal is an error: the fleet is in no state for what was asked, and nothing of it was changed or all of it is as it was.
type Refusal struct{ Reason string }

func (r *Refusal) Error() string { return r.Reason }

func refuse(format string, arguments ...any) error {
	return &Refusal{fmt.Sprintf(format, arguments...)}
}

// Report takes a line that tells how far something is.
type Report func(line string)

func (r Report) say(format string, arguments ...any) {
	if r != nil {
		r(fmt.Sprintf(format, arguments...))
	}
}
