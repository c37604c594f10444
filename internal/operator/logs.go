package operator

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"squidfleet/proxyimage/container"
)

// LogQuery selects lines. Every condition that is set must hold. Any of them selects requests only.
type LogQuery struct {
	// From is the time of the first one, To that of the last one. Zero: there is no last one.
	From, To time.Time
	// Follow goes on with new ones until ctx ends.
	Follow bool
	// Egress is the address that the request left from.
	Egress netip.Addr
	// User is the proxy's user, in the form that squid.CheckUser asks for.
	User string
	// Statuses are alternatives.
	Statuses []Status
}

// Status is a range of HTTP status codes, both ends included.
type Status struct{ From, To int }

var statusForm = regexp.MustCompile(`^([0-9]{3}|[0-9]xx)$`)

// ParseStatus reads a status code such as 407, or a class such as 4xx. Squid logs 000 when it
// answered nothing.
func ParseStatus(text string) (status Status, err error) {
	lower := strings.ToLower(text)
	if !statusForm.MatchString(lower) {
		return status, fmt.Errorf("%q is neither a status code such as 407 nor a class such as 4xx", text)
	}
	status.From, _ = strconv.Atoi(strings.ReplaceAll(lower, "x", "0"))
	status.To, _ = strconv.Atoi(strings.ReplaceAll(lower, "x", "9"))
	if status.From != 0 && status.From < 100 || status.From > 599 {
		return status, fmt.Errorf("%q is no status: they are 000, when nothing was answered, and 100 to 599", text)
	}
	return status, nil
}

// patternMax is how long a pattern CloudWatch Logs takes.
const patternMax = 1024

// Check returns an error if CloudWatch Logs would refuse the query.
func (q LogQuery) Check() error {
	if n := len(q.pattern()); n > patternMax {
		return fmt.Errorf("the filters make a pattern of %d characters, and CloudWatch Logs takes %d: name fewer "+
			"status codes, or classes such as 4xx", n, patternMax)
	}
	return nil
}

// pattern is the query in CloudWatch Logs' filter language, "" for everything. No value can hold a
// character that has a meaning there.
func (q LogQuery) pattern() string {
	var all []string
	if q.Egress.IsValid() {
		all = append(all, fmt.Sprintf(`($.egress = "%s")`, q.Egress))
	}
	if q.User != "" {
		all = append(all, fmt.Sprintf(`($.user = "%s")`, q.User))
	}
	var alternatives []string
	for _, s := range q.Statuses {
		one := fmt.Sprintf(`($.status = %d)`, s.From)
		if s.From != s.To {
			one = fmt.Sprintf(`(($.status >= %d) && ($.status <= %d))`, s.From, s.To)
		}
		alternatives = append(alternatives, one)
	}
	if len(alternatives) > 0 {
		all = append(all, "("+strings.Join(alternatives, " || ")+")")
	}
	if len(all) == 0 {
		return ""
	}
	return "{ " + strings.Join(all, " && ") + " }"
}

const (
	// overlap is how far before the newest line each look begins while following: a line may arrive
	// after a later one.
	overlap = 15 * time.Second
	// allowance is how far back each look begins at most. It is longer than a line takes to be
	// found, and more than this machine's clock may differ from AWS's.
	allowance = 5 * time.Minute
)

// Logs hands each line to emit, oldest first as far as CloudWatch Logs sorts them, and stops at
// emit's first error.
//
// It uses FilterLogEvents, also for following: a live tail would cost by the minute, end after
// three hours, and could not begin in the past. While following, it leaves a look that AWS
// throttles to the next one.
func (f *Connection) Logs(ctx context.Context, q LogQuery, report Report, emit func(Event) error) error {
	from := q.From
	seen := map[string]time.Time{} // ids of the lines since from
	for {
		begun := time.Now()
		newest, err := f.look(ctx, q, from, seen, emit)
		throttled := retry.IsErrorThrottles(retry.DefaultThrottles).IsErrorThrottle(err) == aws.TrueTernary
		if !q.Follow || err != nil && !throttled {
			return err
		}
		if throttled {
			report.say("AWS limits how often logs:FilterLogEvents may be called: new lines come later")
		} else {
			from = later(from, later(newest.Add(-overlap), begun.Add(-allowance)))
			maps.DeleteFunc(seen, func(_ string, at time.Time) bool { return at.Before(from) })
		}
		if err := f.sleep(ctx); err != nil {
			return err
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// look hands each line since from that is not in seen to emit, adds it to seen, and returns the
// time of the newest.
func (f *Connection) look(
	ctx context.Context, q LogQuery, from time.Time, seen map[string]time.Time, emit func(Event) error,
) (newest time.Time, err error) {
	input := &cloudwatchlogs.FilterLogEventsInput{
		LogGroupName: aws.String(f.outputs[outputLogGroup]), StartTime: aws.Int64(from.UnixMilli()),
	}
	if !q.To.IsZero() {
		input.EndTime = aws.Int64(q.To.UnixMilli())
	}
	if pattern := q.pattern(); pattern != "" {
		input.FilterPattern = &pattern
	}
	pages := cloudwatchlogs.NewFilterLogEventsPaginator(f.logs, input)
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return newest, err
		}
		for _, e := range page.Events {
			id, at := aws.ToString(e.EventId), time.UnixMilli(aws.ToInt64(e.Timestamp)).UTC()
			newest = later(newest, at)
			if _, again := seen[id]; again {
				continue
			}
			if q.Follow {
				seen[id] = at
			}
			if strings.HasPrefix(aws.ToString(e.Message), container.MetricsBegin) {
				continue // CloudWatch shows a task's figures as metrics
			}
			if err := emit(newEvent(e, at)); err != nil {
				return newest, err
			}
		}
	}
	return newest, nil
}

func newEvent(e types.FilteredLogEvent, at time.Time) Event {
	stream, message := aws.ToString(e.LogStreamName), aws.ToString(e.Message)
	event := Event{Task: stream[strings.LastIndexByte(stream, '/')+1:], Logged: at, Line: parseLine(message)}
	if event.Line == nil {
		event.Message = message
	}
	return event
}
