package standin

import (
	"fmt"
	"strconv"
	"time"

	"squidfleet/internal/logquery"
)

// event is a line in the log.
type event struct {
	stream, message string
	at              time.Time
}

// Log has the task with that address write a line, some time ago.
func (a *AWS) Log(address, message string, ago time.Duration) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.fleet.find(func(t *task) bool { return t.public() == address })
	if t == nil {
		return fmt.Errorf("no task has the address %s", address)
	}
	a.model.log = append(a.model.log, event{"proxy/proxy/" + t.id(), message, time.Now().Add(-ago)})
	return nil
}

// Flood makes the log one of so many lines that it is not kept. The line i is what line returns, in
// the order of time.
func (a *AWS) Flood(lines int, line func(i int) (message string, at time.Time)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.model.flooded, a.model.flood = lines, func(i int) event {
		message, at := line(i)
		return event{"proxy/proxy/1", message, at}
	}
}

// CloudWatch Logs returns at most 10,000 events or 1 MB, and less when it has searched for long
// (https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html).
const (
	mostEvents   = 10_000
	mostBytes    = 1 << 20
	mostSearched = 50_000
)

func (a *AWS) filterLogEvents(r *request) (any, error) {
	from, ok := r.Input["startTime"].(float64)
	if !ok {
		a.problem("logs:FilterLogEvents would read the whole log")
	}
	to, ends := r.Input["endTime"].(float64)
	lines, line, most := len(a.model.log), func(i int) event { return a.model.log[i] }, a.pageSize
	if a.model.flood != nil {
		lines, line, most = a.model.flooded, a.model.flood, mostEvents
	}
	first, _ := strconv.Atoi(r.Text("nextToken"))
	found, size, i := []any{}, 0, first
	last, fits := "", false // equal lines in a row are matched once
	for ; i < lines && i < first+mostSearched && len(found) < most && size < mostBytes; i++ {
		e := line(i)
		if ms := float64(e.at.UnixMilli()); ms < from || ends && ms > to {
			continue
		}
		if e.message != last {
			var err error
			if fits, err = match(r.Text("filterPattern"), e.message); err != nil {
				return nil, refuse("InvalidParameterException", "Invalid filter pattern: %v", err)
			}
			last = e.message
		}
		if fits {
			size += len(e.message)
			found = append(found, object{
				"eventId": strconv.Itoa(i), "logStreamName": e.stream, "message": e.message,
				"timestamp": e.at.UnixMilli(),
			})
		}
	}
	answer := object{"events": found, "searchedLogStreams": []any{}}
	if i < lines {
		answer["nextToken"] = strconv.Itoa(i)
	}
	return answer, nil
}

// match reports whether a filter pattern matches a line; an empty one does.
func match(pattern, message string) (bool, error) {
	if pattern == "" {
		return true, nil
	}
	lines, err := logquery.Match(pattern, logquery.Read([]string{message}))
	return len(lines) > 0, err
}
