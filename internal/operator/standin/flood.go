package standin

import (
	"strconv"
	"time"
)

// flood is a log that is too long to be kept. Its lines are made when they are asked for.
type flood struct {
	lines int
	line  func(i int) (message string, at time.Time)
}

// Flood makes the log one of so many lines. The line i is what line returns, in the order of time.
func (a *AWS) Flood(lines int, line func(i int) (message string, at time.Time)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.around.flood = &flood{lines, line}
}

// CloudWatch Logs returns at most 10,000 events or 1 MB, and less when it has searched for long
// (https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html).
const (
	mostEvents   = 10_000
	mostBytes    = 1 << 20
	mostSearched = 50_000
)

func (f *flood) events(from, to float64, pattern, token string) (any, error) {
	first, _ := strconv.Atoi(token)
	found, size, i := []any{}, 0, first
	last, fits := "", false // equal lines in a row are matched once
	for ; i < f.lines && i < first+mostSearched && len(found) < mostEvents && size < mostBytes; i++ {
		message, at := f.line(i)
		if ms := float64(at.UnixMilli()); ms < from || ms > to {
			continue
		}
		if message != last {
			var err error
			if fits, err = match(pattern, message); err != nil {
				return nil, refuse("InvalidParameterException", "Invalid filter pattern: %v", err)
			}
			last = message
		}
		if fits {
			size += len(message)
			found = append(found, object{
				"eventId": strconv.Itoa(i), "logStreamName": "proxy/proxy/1", "message": message,
				"timestamp": at.UnixMilli(),
			})
		}
	}
	answer := object{"events": found, "searchedLogStreams": []any{}}
	if i < f.lines {
		answer["nextToken"] = strconv.Itoa(i)
	}
	return answer, nil
}
