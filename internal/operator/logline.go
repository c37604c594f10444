package operator

import (
	"encoding/json"
	"regexp"
	"strconv"
	"time"
)

// Line is one request in the access log. Its JSON names are the log's, declared in package squid;
// the entrypoint adds egress. Strings are as the client sent them (the log has them
// percent-encoded). They may hold anything, also control characters; "-" stands for nothing.
type Line struct {
	Egress          string `json:"egress"`
	Time            string `json:"time"`
	DurationMs      int64  `json:"durationMs"`
	Client          string `json:"client"`
	User            string `json:"user"`
	Auth            string `json:"auth"`
	Method          string `json:"method"`
	URL             string `json:"url"`
	Status          int    `json:"status"`
	Result          string `json:"result"`
	Error           string `json:"error"`
	ErrorDetail     string `json:"errorDetail"`
	Destination     string `json:"destination"`
	BytesFromClient int64  `json:"bytesFromClient"`
	BytesToClient   int64  `json:"bytesToClient"`
	UserAgent       string `json:"userAgent"`
}

// parseLine returns nil for a line that is not of the access log.
func parseLine(message string) *Line {
	l := new(Line)
	if err := json.Unmarshal([]byte(message), l); err != nil || l.Method == "" {
		return nil
	}
	for _, s := range []*string{&l.User, &l.Auth, &l.Method, &l.URL, &l.Error, &l.ErrorDetail, &l.UserAgent} {
		*s = decode(*s)
	}
	return l
}

var escape = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

// decode undoes percent-encoding as far as it goes: Squid cuts long strings after encoding them,
// maybe inside an escape.
func decode(text string) string {
	return escape.ReplaceAllStringFunc(text, func(escaped string) string {
		b, _ := strconv.ParseUint(escaped[1:], 16, 8)
		return string([]byte{byte(b)})
	})
}

// Event is what a task wrote: a request, or a message of Squid or the entrypoint. The names of its
// JSON are stable.
type Event struct {
	// Task is the task's id.
	Task string `json:"task"`
	// Logged is when CloudWatch Logs says that it was written.
	Logged time.Time `json:"logged"`
	// Request is the request, nil for anything else; its fields stand beside the others.
	*Line
	// Message is the text of anything else.
	Message string `json:"message,omitempty"`
}
