// Package logquery holds the queries and filters over the fleet's log that CloudWatch Logs gets,
// and finds the lines that they are about.
package logquery

// Query is a saved query of CloudWatch Logs Insights. Texts in it that the reader has to replace
// are Address and User.
type Query struct {
	// ID is part of the CloudFormation id, Name what the console shows.
	ID, Name, Text string
}

// What stands in the queries for what the reader puts there.
const (
	Address = "192.0.2.1"
	User    = "NAME"
)

// A host is what stands before the path in a plain request's URL, and the whole of a CONNECT's. A
// line that counts refusals has no URL.
const host = `parse url /^(?:[a-z]+:\/\/)?(?<host>[^\/?]+)/`

// Queries are all that are saved. A member that a line may lack is asked for with ispresent first.
var Queries = []Query{
	{"WhoUsedAnAddress", "Who used an address", `# Replace the address, and choose a time: that of the end of a request.
filter egress = "` + Address + `" and destination != "-"
| ` + host + `
| stats count(*) as requests, sum(bytesFromClient) as sent, sum(bytesToClient) as received,
    earliest(time) as first, latest(time) as last by user, client, host, destination
| sort requests desc
| limit 10000`},
	{"WhatAUserDid", "What a user did", `# Replace the user's name.
filter user = "` + User + `"
| fields time, client, egress, method, url, status, auth, error, destination, durationMs, bytesFromClient,
    bytesToClient
| sort @timestamp desc
| limit 10000`},
	{"TopDestinations", "Top destinations", `filter ispresent(destination) and destination != "-"
| ` + host + `
| stats count(*) as requests, count_distinct(user) as users, sum(bytesFromClient) as sent,
    sum(bytesToClient) as received by host
| sort requests desc
| limit 100`},
	{"RequestsByStatus", "Requests by status", `filter ispresent(durationMs)
| stats count(*) as requests by status
| sort requests desc
| limit 100`},
	{"TopUsers", "Top users", `filter ispresent(destination) and destination != "-"
| stats count(*) as requests, sum(bytesFromClient) as sent, sum(bytesToClient) as received by user
| sort requests desc
| limit 100`},
	{"FailuresByDestination", "Failures by destination", `filter status >= 502 and status <= 504
    and ispresent(url) and error != "-"
| ` + host + `
| stats count(*) as failures, count_distinct(egress) as addresses by host, status, error, errorDetail
| sort failures desc
| limit 100`},
	{"Guessers", "Guessers", `# A line without a client counts refusals that have no line of their own.
filter auth in ["wrong-password", "unknown-user", "throttled"]
| fields coalesce(suppressed, 1) as one
| stats sum(one) as guesses, count_distinct(user) as users, earliest(time) as first, latest(time) as last
    by client, auth
| sort guesses desc
| limit 100`},
}

// Filter counts lines of the log in a metric.
type Filter struct {
	Metric, Pattern string
}

// The metrics of the filters.
const (
	Guesses  = "Guesses"
	Requests = "Requests"
	Failures = "Failures"
)

// Filters are all that make metrics. Only a line of a request has durationMs, and then all other
// members too. A failure is an answer of the proxy's own because a destination does not do what it
// should: a destination's 503 is none.
var Filters = []Filter{
	{Guesses, `{ ($.auth = "wrong-password") || ($.auth = "unknown-user") || ($.auth = "throttled") }`},
	{Requests, `{ ($.durationMs >= 0) && ($.status >= 200) && ($.status != 403) && ($.status != 407) && ` +
		`($.status != 429) }`},
	{Failures, `{ ($.durationMs >= 0) && ($.status >= 502) && ($.status <= 504) && ($.error != "-") }`},
}
