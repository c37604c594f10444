package operator

import "fmt"

// Refusal is an error: the fleet is in no state for the request. Nothing was changed, or all of it
// is back as it was.
type Refusal struct{ Reason string }

func (r *Refusal) Error() string { return r.Reason }

func refuse(format string, arguments ...any) error {
	return &Refusal{fmt.Sprintf(format, arguments...)}
}

// Report takes a line of progress.
type Report func(line string)

func (r Report) say(format string, arguments ...any) {
	if r != nil {
		r(fmt.Sprintf(format, arguments...))
	}
}
