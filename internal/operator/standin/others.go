package standin

import (
	"cmp"
	"fmt"
	"html"
	"regexp"
	"slices"
	"strconv"
	"strings"

	logschemas "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/schemas"
	secretschemas "github.com/aws/aws-sdk-go-v2/service/secretsmanager/schemas"
)

const targetGroup = "arn:aws:elasticloadbalancing:" + Region + ":" + account + ":targetgroup/Squid-Targe-1A2B3C4D5E6F/73e2d6bc24d8a067"

var (
	filterLogEvents = operation{logschemas.FilterLogEventsRequest, logschemas.FilterLogEventsResponse, (*AWS).filterLogEvents}
	getSecretValue  = operation{secretschemas.GetSecretValueRequest, secretschemas.GetSecretValueResponse, (*AWS).getSecretValue}
)

func (a *AWS) describeStacks(r *request) (any, error) {
	name := r.form.Get("StackName")
	if name != StackName+"-Proxy" {
		return nil, refuse("ValidationError", "Stack with id %s does not exist", name)
	}
	outputs := map[string]string{
		"Endpoint":         Endpoint,
		"TryIt":            "curl --proxy http://" + Endpoint + " --proxy-digest --proxy-user " + a.fleet.users[0] + " https://checkip.amazonaws.com",
		"LogGroup":         logGroup,
		"FollowLog":        "aws logs tail --region " + Region + " --follow " + logGroup,
		"ClusterName":      cluster,
		"ServiceName":      service,
		"RotationFailures": failureQueue,
	}
	var members strings.Builder
	for key, value := range outputs {
		if !slices.Contains(a.fleet.without, key) {
			fmt.Fprintf(&members, "<member><OutputKey>%s</OutputKey><OutputValue>%s</OutputValue><Description>…</Description></member>", key, html.EscapeString(value))
		}
	}
	return fmt.Sprintf(`<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><DescribeStacksResult><Stacks><member>`+
		`<StackId>%s</StackId><StackName>%s</StackName><CreationTime>2026-01-02T03:04:05.678Z</CreationTime><StackStatus>%s</StackStatus><Outputs>%s</Outputs>`+
		`</member></Stacks></DescribeStacksResult><ResponseMetadata><RequestId>b9b4b068-3a41-11e5-94eb-example</RequestId></ResponseMetadata></DescribeStacksResponse>`,
		arn("cloudformation", "stack/"+name+"/1a2b3c4d-5e6f-11f0-a1b2-0a1b2c3d4e5f"), name, a.fleet.stackStatus, &members), nil
}

func (a *AWS) describeTargetHealth(r *request) (any, error) {
	if r.form.Get("TargetGroupArn") != targetGroup {
		return nil, refuse("TargetGroupNotFound", "One or more target groups not found")
	}
	reasons := map[string]string{"initial": "Elb.InitialHealthChecking", "unhealthy": "Target.FailedHealthChecks", "draining": "Target.DeregistrationInProgress"}
	var members strings.Builder
	for _, t := range a.fleet.tasks {
		if t.target == "" {
			continue
		}
		reason := ""
		if reasons[t.target] != "" {
			reason = "<Reason>" + reasons[t.target] + "</Reason>"
		}
		fmt.Fprintf(&members, "<member><HealthCheckPort>35201</HealthCheckPort><Target><Port>35201</Port><Id>%s</Id><AvailabilityZone>%s</AvailabilityZone></Target><TargetHealth><State>%s</State>%s</TargetHealth></member>",
			t.private(), t.zone(), t.target, reason)
	}
	return fmt.Sprintf(`<DescribeTargetHealthResponse xmlns="http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/"><DescribeTargetHealthResult><TargetHealthDescriptions>%s</TargetHealthDescriptions>`+
		`</DescribeTargetHealthResult><ResponseMetadata><RequestId>c534f810-f389-11e5-9192-example</RequestId></ResponseMetadata></DescribeTargetHealthResponse>`, &members), nil
}

func (a *AWS) describeNetworkInterfaces(r *request) (any, error) {
	if r.form.Get("Filter.1.Name") != "network-interface-id" {
		return nil, refuse("InvalidParameterValue", "The filter '%s' is invalid", r.form.Get("Filter.1.Name"))
	}
	var asked []string
	for i := 1; r.form.Has("Filter.1.Value." + strconv.Itoa(i)); i++ {
		asked = append(asked, r.form.Get("Filter.1.Value."+strconv.Itoa(i)))
	}
	if len(asked) == 0 || len(asked) > 200 {
		return nil, refuse("FilterLimitExceeded", "The maximum number of filter values specified on a single call is 200")
	}
	var found []*task
	for _, t := range a.fleet.tasks {
		if slices.Contains(asked, t.eni()) && t.status != "STOPPED" {
			found = append(found, t)
		}
	}
	page, next, err := pageOf(found, r.form.Get("NextToken"))
	if err != nil {
		return nil, err
	}
	var items strings.Builder
	for _, t := range page {
		fmt.Fprintf(&items, "<item><networkInterfaceId>%s</networkInterfaceId><subnetId>subnet-0f1e2d3c4b5a69788</subnetId><availabilityZone>%s</availabilityZone><requesterManaged>true</requesterManaged><status>in-use</status>"+
			"<privateIpAddress>%s</privateIpAddress><association><publicIp>%s</publicIp><publicDnsName/><ipOwnerId>amazon</ipOwnerId></association>"+
			"<privateIpAddressesSet><item><privateIpAddress>%[3]s</privateIpAddress><primary>true</primary><association><publicIp>%[4]s</publicIp><ipOwnerId>amazon</ipOwnerId></association></item></privateIpAddressesSet></item>",
			t.eni(), t.zone(), t.private(), t.public())
	}
	token := ""
	if next != "" {
		token = "<nextToken>" + next + "</nextToken>"
	}
	return fmt.Sprintf(`<DescribeNetworkInterfacesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>fc45294c-006b-457b-bab9-example</requestId><networkInterfaceSet>%s</networkInterfaceSet>%s</DescribeNetworkInterfacesResponse>`,
		&items, token), nil
}

func (a *AWS) filterLogEvents(r *request) (any, error) {
	if r.input["logGroupName"] != logGroup {
		return nil, refuse("ResourceNotFoundException", "The specified log group does not exist.")
	}
	from, ok := r.input["startTime"].(float64)
	if !ok {
		a.problem("logs:FilterLogEvents would read the whole log")
	}
	pattern, _ := r.input["filterPattern"].(string)
	var found []any
	for _, e := range a.fleet.events {
		if float64(e.at.UnixMilli()) < from {
			continue
		}
		matches, err := match(pattern, e.message)
		if err != nil {
			return nil, refuse("InvalidParameterException", "Invalid filter pattern: %v", err)
		}
		if matches {
			found = append(found, object{"eventId": e.id, "logStreamName": e.stream, "message": e.message, "timestamp": e.at.UnixMilli(), "ingestionTime": e.at.UnixMilli() + 700})
		}
	}
	token, _ := r.input["nextToken"].(string)
	page, next, err := pageOf(found, token)
	answer := object{"events": page, "searchedLogStreams": []any{}}
	if next != "" {
		answer["nextToken"] = next
	}
	return answer, err
}

func (a *AWS) getSecretValue(r *request) (any, error) {
	for _, user := range a.fleet.users {
		if r.input["SecretId"] == secretARN(user) {
			return object{
				"ARN": secretARN(user), "Name": "Passwords" + user, "VersionId": "a1b2c3d4-5678-90ab-cdef-example11111", "VersionStages": []any{"AWSCURRENT"}, "CreatedDate": 1767323045.678,
				"SecretString": cmp.Or(a.fleet.password, "pass-of-"+user),
			}, nil
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

func join(list []string) string { return strings.Join(list, ",") }
