package operator

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
)

// LogQuery says which lines. Every condition that is set must hold; with any of them there are requests only.
type LogQuery struct {
	// From is the time of the first one.
	From time.Time
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

// ParseStatus reads a status code such as 407, or a class such as 4xx.
func ParseStatus(text string) (Status, error) {
	if class, ok := strings.CutSuffix(strings.ToLower(text), "xx"); ok && len(class) == 1 && class[0] >= '0' && class[0] <= '9' {
		first := int(class[0]-'0') * 100
		return Status{first, first + 99}, nil
	}
	code, err := strconv.ParseUint(text, 10, 16)
	if err != nil || len(text) != 3 {
		return Status{}, fmt.Errorf("%q is neither a status code such as 407 nor a class such as 4xx", text)
	}
	return Status{int(code), int(code)}, nil
}

// pattern is the query in CloudWatch Logs' filter language, "" for everything. None of the values can hold a character that means something in it.
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
		if s.From == s.To {
			alternatives = append(alternatives, fmt.Sprintf(`($.status = %d)`, s.From))
		} else {
			alternatives = append(alternatives, fmt.Sprintf(`(($.status >= %d) && ($.status <= %d))`, s.From, s.To))
		}
	}
	if len(alternatives) > 0 {
		all = append(all, "("+strings.Join(alternatives, " || ")+")")
	}
	if len(all) == 0 {
		return ""
	}
	return "{ " + strings.Join(all, " && ") + " }"
}

// overlap is how far back each look goes while following: tasks write at their own pace, so a line may come in after one that was written later.
const overlap = 15 * time.Second

// Logs hands each line to emit, oldest first as far as CloudWatch Logs sorts them, and stops at emit's first error.
//
// It uses FilterLogEvents, also for following: a live tail would cost by the minute, end after three hours, and could not begin in the past.
func (f *Fleet) Logs(ctx context.Context, q LogQuery, emit func(Event) error) error {
	from := q.From
	seen := map[string]time.Time{} // ids of the lines since from
	for {
		input := &cloudwatchlogs.FilterLogEventsInput{
			LogGroupName: aws.String(f.outputs[outputLogGroup]),
			StartTime:    aws.Int64(from.UnixMilli()),
		}
		if pattern := q.pattern(); pattern != "" {
			input.FilterPattern = aws.String(pattern)
		}
		newest := from
		pages := cloudwatchlogs.NewFilterLogEventsPaginator(f.logs, input)
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return err
			}
			for _, e := range page.Events {
				id, at := aws.ToString(e.EventId), time.UnixMilli(aws.ToInt64(e.Timestamp)).UTC()
				if _, again := seen[id]; again {
					continue
				}
				if q.Follow {
					seen[id] = at
				}
				if at.After(newest) {
					newest = at
				}
				if err := emit(newEvent(e, at)); err != nil {
					return err
				}
			}
		}
		if !q.Follow {
			return nil
		}
		if back := newest.Add(-overlap); back.After(from) {
			from = back
		}
		for id, at := range seen {
			if at.Before(from) {
				delete(seen, id)
			}
		}
		if err := f.sleep(ctx); err != nil {
			return err
		}
	}
}

func newEvent(e types.FilteredLogEvent, at time.Time) Event {
	stream, message := aws.ToString(e.LogStreamName), aws.ToString(e.Message)
	event := Event{Task: stream[strings.LastIndexByte(stream, '/')+1:], Logged: at, Line: parseLine(message)}
	if event.Line == nil {
		event.Message = message
	}
	return event
}
