package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/spf13/cobra"

	"squidfleet/internal/baseimage"
	"squidfleet/internal/doctor"
	"squidfleet/internal/operator"
	"squidfleet/params"
)

// status is what squidfleet status writes as JSON. Its names are stable. What AWS did not answer is
// null, and one of the findings.
type status struct {
	StackName string             `json:"stackName"`
	Region    string             `json:"region"`
	At        time.Time          `json:"at"`
	Addresses []operator.Address `json:"addresses"`
	Alarms    []operator.Alarm   `json:"alarms"`
	LastHour  *operator.Traffic  `json:"lastHour"`
	// Deployed is when the task definition was registered.
	Deployed *time.Time `json:"deployed"`
	// Base is null if its registry did not answer.
	Base     *baseimage.Base  `json:"base"`
	Findings []doctor.Finding `json:"findings"`
}

func (t *status) ill() bool { return slices.ContainsFunc(t.Findings, doctor.Finding.Ill) }

func newStatus(s *streams) *cobra.Command {
	w := statusWatch{s: s, screen: screen{size: terminalSize}}
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show on one screen how the fleet is",
		Long: `Show on one screen how the fleet is: the addresses as in squidfleet ips, and a line each for
  addresses  how many serve
  alarms     each that rings (parameters alarmEmail and alarmTopicArn)
  last hour  requests that were let in, those of them that failed as their destination did not
             do what it should, and refused ones; at most 100,000 lines of the log are counted
  image      when its task definition was registered: the image itself may be older
  doctor     what squidfleet doctor complains of, which has the fix and further checks
  base       whether the image's base, Debian, has a newer version: its registry is asked, without
             credentials and for 5 seconds at most. A newer one, or no answer, is no problem

What needs the parameters in cdk.json is left out if they are not this fleet's.

With --watch it goes on until Ctrl-C, which is no failure: on a terminal as a screen that is
drawn again, otherwise as lines for what changes, with --json as an object a line. Log,
image and doctor are then asked once a minute, the base's registry once an hour.

Exit code 0 means that all is well, 3 that something needs attention or is unknown.`,
		Example: `  squidfleet status
  squidfleet status --watch
  squidfleet status --json | jq -r '.findings[] | select(.level == "problem").detail'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("poll") && !w.again {
				return usage("--poll is for --watch: without it status does not wait")
			}
			if err := w.parameters(cmd.Flags().Changed("stack-name")); err != nil {
				return err
			}
			if err := w.flags.check(); err != nil {
				return err
			}
			err := w.flags.explained(cmd, func() error { return w.run(cmd.Context()) })
			if w.again && cmd.Context().Err() != nil && !s.unread() {
				return nil // There is no other way to end it.
			}
			return err
		},
	}
	var actions []string
	for _, p := range statusParts {
		actions = append(actions, p.actions...)
	}
	slices.Sort(actions)
	w.flags.add(s, cmd, slices.Compact(actions)...)
	w.flags.addPoll(cmd, 5*time.Second)
	cmd.Flags().BoolVarP(&w.again, "watch", "w", false, "go on, and show what changes")
	name := cmd.Flags().Lookup("stack-name")
	name.Usage, name.DefValue = "the fleet's parameter stackName (default: as in cdk.json, or Squidfleet)", ""
	return cmd
}

// statusWatch looks at a fleet once, or again and again.
type statusWatch struct {
	s     *streams
	flags fleetFlags
	again bool
	cfg   aws.Config
	p     *params.Params       // nil unless cdk.json is this fleet's
	fleet *operator.Connection // as it was found last

	now    status
	found  [][]doctor.Finding // by each of the parts
	slowAt time.Time          // when the slow ones were asked
	// asked is what the registry was asked about, and newer waits for the answer.
	asked   operator.Image
	askedAt time.Time
	newer   func() (*baseimage.Base, error)

	screen
	shown map[string]bool // lines that hold
}

// parameters reads cdk.json, which names the fleet unless the command line does.
func (w *statusWatch) parameters(named bool) error {
	p, err := parameters(nil)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !named {
		w.flags.StackName = p.StackName
	}
	if w.flags.StackName == p.StackName {
		w.p = p
	}
	return nil
}

// statusPart is a thing that AWS, or the base's registry, is asked.
type statusPart struct {
	name    string
	actions []string
	slow    bool // asked once a minute
	ask     func(*statusWatch, context.Context) ([]doctor.Finding, error)
}

var statusParts = []statusPart{
	{"addresses", lookAtAddresses(), false, (*statusWatch).addresses},
	{"alarms", []string{"cloudwatch:DescribeAlarms"}, false, (*statusWatch).alarms},
	{"last hour", []string{"logs:FilterLogEvents"}, true, (*statusWatch).traffic},
	{"image", []string{"ecs:DescribeTaskDefinition"}, true, (*statusWatch).image},
	{"doctor", doctor.PermissionsOfDeployed(), true, (*statusWatch).doctor},
	{"base", []string{}, true, (*statusWatch).base}, // last: the registry answers meanwhile
}

func (w *statusWatch) run(ctx context.Context) (err error) {
	if w.cfg, err = operator.Config(ctx, w.flags.Options); err != nil {
		return err
	}
	w.found = make([][]doctor.Finding, len(statusParts))
	for {
		err := w.look(ctx)
		if err == nil {
			err = w.show()
		}
		if err == nil && !w.again && w.now.ill() {
			err = errFound
		}
		if err != nil || !w.again {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(w.flags.Poll):
		}
	}
}

// look asks everything. The error is for a fleet that is not found, or an interruption.
func (w *statusWatch) look(ctx context.Context) (err error) {
	if w.fleet, err = operator.ConnectWith(ctx, w.cfg, w.flags.Options); err != nil {
		return err
	}
	w.now.StackName, w.now.Region, w.now.At = w.fleet.Name, w.fleet.Region, time.Now().UTC().Truncate(time.Second)
	slow := time.Since(w.slowAt) >= time.Minute
	if slow {
		w.slowAt = time.Now()
	}
	for i, p := range statusParts {
		if p.slow && !slow {
			continue
		}
		found, err := p.ask(w, ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			found = []doctor.Finding{doctor.Unanswered(err, w.flags.Options)}
		}
		for j := range found {
			if one := &found[j]; one.Check == "" {
				one.Check, one.Permissions = p.name, p.actions
			}
		}
		w.found[i] = found
	}
	w.now.Findings = slices.Concat(w.found...)
	return nil
}

func one(level doctor.Level, format string, arguments ...any) []doctor.Finding {
	return []doctor.Finding{{Level: level, Detail: fmt.Sprintf(format, arguments...)}}
}

func (w *statusWatch) addresses(ctx context.Context) (_ []doctor.Finding, err error) {
	if w.now.Addresses, err = w.fleet.Addresses(ctx); err != nil {
		return nil, err
	}
	well, stopped, level, ill := 0, 0, doctor.OK, ""
	for _, a := range w.now.Addresses {
		tasks := map[operator.Health]int{}
		for _, t := range a.Tasks {
			tasks[t.Health]++
		}
		switch serves := tasks[operator.Healthy]+tasks[operator.Draining] > 0; {
		case tasks[operator.Unhealthy] > 0, !serves && !a.Stopped:
			level, ill = doctor.Problem, fmt.Sprintf("%s, not number %d", ill, a.Number)
		case serves:
			well++
		default:
			stopped++
		}
	}
	return one(level, "%d of %d serve, and %d are stopped%s", well, len(w.now.Addresses), stopped, ill), nil
}

func (w *statusWatch) alarms(ctx context.Context) (found []doctor.Finding, err error) {
	if w.now.Alarms, err = w.fleet.Alarms(ctx); err != nil {
		return nil, err
	}
	for _, a := range w.now.Alarms {
		if a.State == operator.AlarmOn {
			found = append(found, one(doctor.Problem, "%s since %s: %s", a.Name, stamp(a.Since), a.Meaning)...)
		}
	}
	switch {
	case len(w.now.Alarms) == 0:
		return one(doctor.Note, "none are set"), nil
	case found == nil:
		return one(doctor.OK, "none of %d rings", len(w.now.Alarms)), nil
	}
	return found, nil
}

func (w *statusWatch) traffic(ctx context.Context) (_ []doctor.Finding, err error) {
	if w.now.LastHour, err = w.fleet.Traffic(ctx, time.Now().Add(-time.Hour)); err != nil {
		return nil, err
	}
	t, until := w.now.LastHour, ""
	if !t.Complete {
		until = " until " + stamp(t.To) + "; later ones are not counted"
	}
	return one(doctor.OK, "%d requests, %d of them failed, and %d refused%s", t.Requests, t.Failures, t.Refused,
		until), nil
}

func (w *statusWatch) image(ctx context.Context) ([]doctor.Finding, error) {
	w.now.Deployed = nil
	image, err := w.fleet.Image(ctx)
	if err != nil {
		return nil, err
	}
	at := image.Registered
	w.now.Deployed = &at
	w.ask(ctx, image)
	return one(doctor.OK, "deployed %s ago, at %s", age(time.Since(at)), stamp(at)), nil
}

// registryTime bounds the question to the registry: status waits for it at the end.
const registryTime = 5 * time.Second

// ask begins to ask whether the image's base has a newer version. It does so once an hour, and
// again at once after a failure.
func (w *statusWatch) ask(ctx context.Context, image operator.Image) {
	image.Registered = time.Time{}
	if image == w.asked && time.Since(w.askedAt) < time.Hour {
		return
	}
	w.asked, w.askedAt = image, time.Now()
	w.newer = sync.OnceValues(func() (*baseimage.Base, error) {
		late := fmt.Errorf("no answer within %s", registryTime)
		ctx, cancel := context.WithTimeoutCause(ctx, registryTime, late)
		defer cancel()
		return baseimage.Look(ctx, image.Base, image.Architecture)
	})
	go w.newer()
}

func (w *statusWatch) base(context.Context) ([]doctor.Finding, error) {
	w.now.Base = nil
	if w.newer == nil {
		return nil, nil // The line of the image says why.
	}
	if w.asked.Base == "" {
		return one(doctor.Note, "cannot say: the task definition does not name the image's base"), nil
	}
	base, err := w.newer()
	if err != nil {
		w.askedAt = time.Time{}
		return one(doctor.Note, "cannot say: %v", err), nil
	}
	w.now.Base = base
	if base.Newer == nil {
		return one(doctor.OK, "%s has no newer version", base.Name), nil
	}
	return one(doctor.Note, "%s has a newer version, of %s. What to do: docs/operate.md#a-newer-base", base.Name,
		base.Newer.Format(time.DateOnly)), nil
}

// doctor has the findings that need attention, or one that says that there is none.
func (w *statusWatch) doctor(ctx context.Context) ([]doctor.Finding, error) {
	all, err := doctor.Deployed(ctx, w.cfg, w.flags.Options, w.fleet, w.p, os.DirFS("cdk.out"))
	ill := slices.DeleteFunc(slices.Clone(all), func(f doctor.Finding) bool { return !f.Ill() })
	if err != nil || len(ill) > 0 {
		return ill, err
	}
	return one(doctor.OK, "all %d checks of what is deployed", len(all)), nil
}

func (s *streams) status(now *status) {
	word := s.paint("all is well", green)
	if now.ill() {
		word = s.paint("something needs attention", red)
	}
	fmt.Fprintf(s.out, "%s in %s at %s: %s\n\n", now.StackName, now.Region, stamp(now.At), word)
	findings := slices.Clone(now.Findings)
	for i := range findings {
		findings[i].Fix = "" // one line each
	}
	s.table(doctorRows(findings))
	if now.ill() {
		fmt.Fprintln(s.out, "\nsquidfleet doctor has more, and what to do.")
	}
	if now.Addresses != nil {
		fmt.Fprintln(s.out)
		s.table(addressRows(now.Addresses))
	}
}

// show writes it, draws the screen over the last one, or writes what changed.
func (w *statusWatch) show() error {
	switch {
	case w.again && w.s.asJSON:
		return w.s.json(w.now, "")
	case !w.again:
		return w.s.result(w.now, func() { w.s.status(&w.now) })
	case w.s.colours:
		w.draw()
		return nil
	}
	hold := map[string]bool{}
	for _, f := range w.now.Findings {
		line := fmt.Sprintf("%s: %s: %s", f.Check, f.Level, printable(f.Detail))
		if hold[line] = true; !w.shown[line] {
			fmt.Fprintf(w.s.out, "%s %s\n", stamp(w.now.At), line)
		}
	}
	w.shown = hold
	return nil
}

// draw leaves out lines that the screen has no room for: the cursor cannot go back to them.
func (w *statusWatch) draw() {
	_, height := w.size()
	lines := slices.Collect(strings.Lines(w.s.text(func(s *streams) { s.status(&w.now) })))
	fmt.Fprint(w.s.out, w.frame(strings.Join(lines[:min(len(lines), max(height-1, 1))], ""), ""))
}
