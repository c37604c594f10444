package standin

import (
	"slices"
	"strconv"
	"time"
)

const failureQueue = "https://sqs." + Region + ".amazonaws.com/" + account + "/Squidfleet-Proxy-FailedRotations-1A2B"

// history is a deployment that is over.
type history struct {
	status  string
	created time.Time
}

func (a *AWS) getQueueAttributes(r *request) (any, error) {
	if r.Input["QueueUrl"] != failureQueue {
		return nil, refuse("QueueDoesNotExist", "The specified queue does not exist.")
	}
	const number = "ApproximateNumberOfMessages"
	if names, _ := r.Input["AttributeNames"].([]any); !slices.Equal(names, []any{number}) {
		return object{}, nil
	}
	return object{"Attributes": object{number: strconv.Itoa(a.fleet.failedRotations)}}, nil
}

func (a *AWS) listServiceDeployments(r *request) (any, error) {
	s, err := a.named(r, r.Input["service"])
	if err != nil {
		return nil, err
	}
	created, _ := r.Input["createdAt"].(object)
	after, _ := created["after"].(float64)
	statuses, _ := r.Input["status"].([]any)
	var found []any
	for i, d := range s.history {
		if epoch(d.created) <= after || !slices.Contains(statuses, any(d.status)) {
			continue
		}
		found = append(found, object{
			"serviceDeploymentArn": arn("ecs", "service-deployment/"+cluster+"/"+s.name()+"/"+strconv.Itoa(i)),
			"createdAt":            epoch(d.created), "status": d.status,
			"statusReason": "Service deployment rolled back because the circuit breaker threshold was exceeded.",
		})
	}
	page, next, err := a.pageOf(len(found), r.Text("nextToken"))
	answer := object{"serviceDeployments": found[page.from:page.to]}
	if next != "" {
		answer["nextToken"] = next
	}
	return answer, err
}
