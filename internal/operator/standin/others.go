package standin

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"squidfleet/internal/logquery"
)

const targetGroup = "arn:aws:elasticloadbalancing:" + Region + ":" + account +
	":targetgroup/Squid-Targe-1A2B3C4D5E6F/73e2d6bc24d8a067"

func (a *AWS) describeStacks(r *request) (any, error) {
	name := r.Text("StackName")
	if name != StackName+"-Proxy" || a.around.undeployed {
		return nil, refuse("ValidationError", "Stack with id %s does not exist", name)
	}
	endpoint, scheme := Endpoint, "http"
	if a.fleet.tlsName != "" {
		endpoint, scheme = a.fleet.tlsName+":35201", "https"
	}
	outputs := map[string]string{
		"Endpoint": endpoint, "Scheme": scheme,
		"TryIt":            "curl … https://checkip.amazonaws.com",
		"LogGroup":         logGroup,
		"FollowLog":        "aws logs tail --region " + Region + " --follow " + logGroup,
		"ClusterName":      cluster,
		"RotateEvery":      a.fleet.rotateEvery,
		"RotationFailures": failureQueue,
	}
	type output struct{ OutputKey, OutputValue string }
	var given []output
	for _, key := range slices.Sorted(maps.Keys(outputs)) {
		if !slices.Contains(a.fleet.without, key) {
			given = append(given, output{key, outputs[key]})
		}
	}
	type stack struct {
		StackName, CreationTime, StackStatus string
		Outputs                              []output `xml:"Outputs>member"`
	}
	return struct {
		Stack stack `xml:"Stacks>member"`
	}{stack{name, "2026-01-02T03:04:05.678Z", a.fleet.stackStatus, given}}, nil
}

func (a *AWS) describeTargetHealth(r *request) (any, error) {
	if r.Text("TargetGroupArn") != targetGroup {
		return nil, refuse("TargetGroupNotFound", "One or more target groups not found")
	}
	reasons := map[string]string{
		"initial": "Elb.InitialHealthChecking", "unhealthy": "Target.FailedHealthChecks",
		"draining": "Target.DeregistrationInProgress",
	}
	type health struct {
		Id     string `xml:"Target>Id"`
		Port   int    `xml:"Target>Port"`
		State  string `xml:"TargetHealth>State"`
		Reason string `xml:"TargetHealth>Reason,omitempty"`
	}
	var found []health
	for _, t := range a.fleet.tasks() {
		if t.target != "" {
			found = append(found, health{t.private(), 35201, t.target, reasons[t.target]})
		}
	}
	return struct {
		Healths []health `xml:"TargetHealthDescriptions>member"`
	}{found}, nil
}

func (a *AWS) describeNetworkInterfaces(r *request) (any, error) {
	if filter := r.Text("Filter.1.Name"); filter != "network-interface-id" {
		return nil, refuse("InvalidParameterValue", "The filter '%s' is invalid", filter)
	}
	var asked []string
	for i := 1; r.Input["Filter.1.Value."+strconv.Itoa(i)] != nil; i++ {
		asked = append(asked, r.Text("Filter.1.Value."+strconv.Itoa(i)))
	}
	if len(asked) == 0 || len(asked) > 200 {
		return nil, refuse("FilterLimitExceeded",
			"The maximum number of filter values specified on a single call is 200")
	}
	var existing []*task
	for _, t := range a.fleet.tasks() {
		if slices.Contains(asked, t.eni()) && t.status != "STOPPED" {
			existing = append(existing, t)
		}
	}
	page, next, err := a.pageOf(len(existing), r.Text("NextToken"))
	if err != nil {
		return nil, err
	}
	type networkInterface struct {
		ID       string `xml:"networkInterfaceId"`
		PublicIP string `xml:"association>publicIp"`
	}
	var found []networkInterface
	for _, t := range existing[page.from:page.to] {
		found = append(found, networkInterface{t.eni(), t.public()})
	}
	return struct {
		Interfaces []networkInterface `xml:"networkInterfaceSet>item"`
		NextToken  string             `xml:"nextToken,omitempty"`
	}{found, next}, nil
}

func (a *AWS) filterLogEvents(r *request) (any, error) {
	if r.Input["logGroupName"] != logGroup {
		return nil, refuse("ResourceNotFoundException", "The specified log group does not exist.")
	}
	from, ok := r.Input["startTime"].(float64)
	if !ok {
		a.problem("logs:FilterLogEvents would read the whole log")
	}
	to, ends := r.Input["endTime"].(float64)
	pattern, _ := r.Input["filterPattern"].(string)
	if a.around.flood != nil {
		return a.around.flood.events(from, to, pattern, r.Text("nextToken"))
	}
	var found []any
	for _, e := range a.fleet.events {
		if at := float64(e.at.UnixMilli()); at < from || ends && at > to {
			continue
		}
		matches, err := match(pattern, e.message)
		if err != nil {
			return nil, refuse("InvalidParameterException", "Invalid filter pattern: %v", err)
		}
		if matches {
			found = append(found, object{
				"eventId": e.id, "logStreamName": e.stream, "message": e.message, "timestamp": e.at.UnixMilli(),
			})
		}
	}
	page, next, err := a.pageOf(len(found), r.Text("nextToken"))
	answer := object{"events": found[page.from:page.to], "searchedLogStreams": []any{}}
	if next != "" {
		answer["nextToken"] = next
	}
	return answer, err
}

func (a *AWS) getSecretValue(r *request) (any, error) {
	for _, user := range a.fleet.users {
		if r.Input["SecretId"] == secretARN(user) {
			return object{"ARN": secretARN(user), "SecretString": cmp.Or(a.fleet.password, "pass-of-"+user)}, nil
		}
	}
	return nil, refuse("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
}

func secretARN(user string) string {
	return arn("secretsmanager", "secret:Passwords"+user+"1A2B3C4D-"+"5e6F7g")
}

var notNameable = regexp.MustCompile(`[^A-Z0-9]`)

// variable is the name under which the tasks get a password.
func variable(user string) string {
	return "SQUIDFLEET_PASSWORD_" + notNameable.ReplaceAllString(strings.ToUpper(user), "_")
}

// match reports whether a filter pattern matches a line; an empty one does.
func match(pattern, message string) (bool, error) {
	if pattern == "" {
		return true, nil
	}
	lines, err := logquery.Match(pattern, logquery.Read([]string{message}))
	return len(lines) > 0, err
}
