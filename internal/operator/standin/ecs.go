package standin

import (
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/schemas"
	"github.com/aws/smithy-go"
)

type object = map[string]any

// operation answers one action: with a text for the XML protocols, with a value of the model for JSON.
type operation struct {
	input, output *smithy.Schema // of JSON
	call          func(*AWS, *request) (any, error)
}

var operations map[string]operation

func init() {
	operations = map[string]operation{
		"cloudformation:DescribeStacks":             {nil, nil, (*AWS).describeStacks},
		"ec2:DescribeNetworkInterfaces":             {nil, nil, (*AWS).describeNetworkInterfaces},
		"ecs:DescribeServices":                      {schemas.DescribeServicesRequest, schemas.DescribeServicesResponse, (*AWS).describeServices},
		"ecs:DescribeTaskDefinition":                {schemas.DescribeTaskDefinitionRequest, schemas.DescribeTaskDefinitionResponse, (*AWS).describeTaskDefinition},
		"ecs:DescribeTasks":                         {schemas.DescribeTasksRequest, schemas.DescribeTasksResponse, (*AWS).describeTasks},
		"ecs:GetTaskProtection":                     {schemas.GetTaskProtectionRequest, schemas.GetTaskProtectionResponse, (*AWS).getTaskProtection},
		"ecs:ListServiceDeployments":                {schemas.ListServiceDeploymentsRequest, schemas.ListServiceDeploymentsResponse, (*AWS).listServiceDeployments},
		"ecs:ListTasks":                             {schemas.ListTasksRequest, schemas.ListTasksResponse, (*AWS).listTasks},
		"ecs:StopTask":                              {schemas.StopTaskRequest, schemas.StopTaskResponse, (*AWS).stopTask},
		"ecs:UpdateService":                         {schemas.UpdateServiceRequest, schemas.UpdateServiceResponse, (*AWS).updateService},
		"ecs:UpdateTaskProtection":                  {schemas.UpdateTaskProtectionRequest, schemas.UpdateTaskProtectionResponse, (*AWS).updateTaskProtection},
		"elasticloadbalancing:DescribeTargetHealth": {nil, nil, (*AWS).describeTargetHealth},
		"logs:FilterLogEvents":                      filterLogEvents,
		"secretsmanager:GetSecretValue":             getSecretValue,
		"sqs:GetQueueAttributes":                    getQueueAttributes,
	}
}

// inFleet refuses what is asked about another cluster or service.
func (a *AWS) inFleet(r *request, member string, want any) error {
	if r.input["cluster"] != cluster {
		return refuse("ClusterNotFoundException", "Cluster not found.")
	}
	if got, list := r.input[member].([]any); list && len(got) == 1 && got[0] == want || r.input[member] == want {
		return nil
	}
	return refuse("ServiceNotFoundException", "Service not found.")
}

func epoch(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func (a *AWS) describeServices(r *request) (any, error) {
	if err := a.inFleet(r, "services", service); err != nil {
		return nil, err
	}
	a.fleet.step()
	return object{"services": []any{a.service()}, "failures": []any{}}, nil
}

func (a *AWS) service() object {
	f := &a.fleet
	running, pending := 0, 0
	var deployments []any
	for i, d := range slices.Backward(f.deployments) {
		deploymentRunning, deploymentPending := 0, 0
		for _, t := range f.tasks {
			if t.deployment == d.id && t.status == "RUNNING" {
				deploymentRunning++
			}
			if t.deployment == d.id && t.status == "PROVISIONING" {
				deploymentPending++
			}
		}
		// A deployment is there until its tasks have ended, but those being drained do not count as running.
		running, pending = running+deploymentRunning, pending+deploymentPending
		status := "ACTIVE"
		if i == len(f.deployments)-1 {
			status = "PRIMARY"
		}
		answer := object{
			"id": d.id, "status": status, "rolloutState": d.state, "createdAt": epoch(d.created), "updatedAt": epoch(d.created),
			"desiredCount": f.desired, "runningCount": deploymentRunning, "pendingCount": deploymentPending, "failedTasks": 0,
			"taskDefinition": arn("ecs", "task-definition/SquidfleetProxyTask1A2B:7"),
		}
		if d.reason != "" {
			answer["rolloutStateReason"] = "ECS deployment circuit breaker: " + d.reason
		}
		deployments = append(deployments, answer)
	}
	return object{
		"serviceArn": arn("ecs", "service/"+cluster+"/"+service), "serviceName": service, "clusterArn": arn("ecs", "cluster/"+cluster), "status": "ACTIVE",
		"desiredCount": f.desired, "runningCount": running, "pendingCount": pending, "deployments": deployments,
		"taskDefinition": arn("ecs", "task-definition/SquidfleetProxyTask1A2B:7"),
		"loadBalancers":  []any{object{"targetGroupArn": targetGroup, "containerName": "proxy", "containerPort": 35201}},
	}
}

func (a *AWS) listTasks(r *request) (any, error) {
	if err := a.inFleet(r, "serviceName", service); err != nil {
		return nil, err
	}
	var arns []any
	for _, t := range a.fleet.tasks {
		if t.stopping == (r.input["desiredStatus"] == "STOPPED") {
			arns = append(arns, t.arn())
		}
	}
	token, _ := r.input["nextToken"].(string)
	page, next, err := pageOf(arns, token)
	answer := object{"taskArns": page}
	if next != "" {
		answer["nextToken"] = next
	}
	return answer, err
}

// pageSize is small, so that no test meets a list that fits into one page. AWS may answer with fewer than were asked for, too.
const pageSize = 2

func pageOf[T any](list []T, token string) (page []T, next string, err error) {
	start := 0
	if token != "" {
		if start, err = strconv.Atoi(token); err != nil || start > len(list) {
			return nil, "", refuse("InvalidParameterException", "Invalid token.")
		}
	}
	end := min(start+pageSize, len(list))
	if end < len(list) {
		next = strconv.Itoa(end)
	}
	return append([]T{}, list[start:end]...), next, nil
}

// named returns the tasks that a request names, and failures for those that are not there.
func (a *AWS) named(r *request, limit int) ([]*task, []any, error) {
	if r.input["cluster"] != cluster {
		return nil, nil, refuse("ClusterNotFoundException", "Cluster not found.")
	}
	list, _ := r.input["tasks"].([]any)
	if len(list) == 0 || len(list) > limit {
		return nil, nil, refuse("InvalidParameterException", "tasks must have between 1 and %d members.", limit)
	}
	var tasks []*task
	failures := []any{}
	for _, name := range list {
		i := slices.IndexFunc(a.fleet.tasks, func(t *task) bool { return t.arn() == name })
		if i < 0 {
			failures = append(failures, object{"arn": name, "reason": "MISSING"})
			continue
		}
		tasks = append(tasks, a.fleet.tasks[i])
	}
	return tasks, failures, nil
}

func (a *AWS) describeTasks(r *request) (any, error) {
	tasks, failures, err := a.named(r, 100)
	if err != nil {
		return nil, err
	}
	answers := []any{}
	for _, t := range tasks {
		answers = append(answers, t.describe())
	}
	return object{"tasks": answers, "failures": failures}, nil
}

func (t *task) describe() object {
	desired, provider := "RUNNING", "FARGATE"
	if t.stopping {
		desired = "STOPPED"
	}
	if t.spot {
		provider = "FARGATE_SPOT"
	}
	answer := object{
		"taskArn": t.arn(), "clusterArn": arn("ecs", "cluster/"+cluster), "group": "service:" + service, "startedBy": t.deployment,
		"lastStatus": t.status, "desiredStatus": desired, "healthStatus": "HEALTHY", "availabilityZone": t.zone(),
		"capacityProviderName": provider, "launchType": "FARGATE", "platformVersion": "1.4.0", "cpu": "256", "memory": "512", "version": 3,
		"createdAt": epoch(t.startedAt.Add(-20 * time.Second)),
	}
	if t.status == "PROVISIONING" {
		answer["healthStatus"] = "UNKNOWN"
		answer["createdAt"] = epoch(time.Now())
		answer["attachments"] = []any{object{"id": "26b6d4f6-2f4d-4a6b-9a55-example", "type": "ElasticNetworkInterface", "status": "PRECREATED", "details": []any{}}}
		return answer
	}
	answer["startedAt"] = epoch(t.startedAt)
	answer["attachments"] = []any{object{"id": "26b6d4f6-2f4d-4a6b-9a55-example", "type": "ElasticNetworkInterface", "status": "ATTACHED", "details": []any{
		object{"name": "subnetId", "value": "subnet-0f1e2d3c4b5a69788"},
		object{"name": "networkInterfaceId", "value": t.eni()},
		object{"name": "macAddress", "value": "0a:98:eb:a7:29:ba"},
		object{"name": "privateDnsName", "value": "ip-10-0-64-10." + Region + ".compute.internal"},
		object{"name": "privateIPv4Address", "value": t.private()},
	}}}
	return answer
}

func (a *AWS) stopTask(r *request) (any, error) {
	if r.input["cluster"] != cluster {
		return nil, refuse("ClusterNotFoundException", "Cluster not found.")
	}
	for _, t := range a.fleet.tasks {
		if t.arn() == r.input["task"] {
			t.stop()
			return object{"task": t.describe()}, nil
		}
	}
	return nil, refuse("InvalidParameterException", "The referenced task was not found.")
}

func (a *AWS) updateService(r *request) (any, error) {
	if err := a.inFleet(r, "service", service); err != nil {
		return nil, err
	}
	for name := range r.input {
		if !slices.Contains([]string{"cluster", "service", "desiredCount", "forceNewDeployment"}, name) {
			a.problem("ecs:UpdateService changes %s", name)
		}
	}
	if n, ok := r.input["desiredCount"].(float64); ok {
		a.fleet.desired = int(n)
	}
	if r.input["forceNewDeployment"] == true {
		a.fleet.deploy(time.Now())
	}
	return object{"service": a.service()}, nil
}

func (a *AWS) updateTaskProtection(r *request) (any, error) {
	tasks, failures, err := a.named(r, 10)
	if err != nil {
		return nil, err
	}
	on := r.input["protectionEnabled"] == true
	if minutes, ok := r.input["expiresInMinutes"].(float64); on && !ok || ok && (minutes < 1 || minutes > 2880) {
		return nil, refuse("InvalidParameterException", "expiresInMinutes must be between 1 and 2880.")
	}
	answers := []any{}
	for _, t := range tasks {
		if t.status != "RUNNING" {
			failures = append(failures, object{"arn": t.arn(), "reason": "TASK_NOT_VALID"})
			continue
		}
		if t.blocked {
			failures = append(failures, object{"arn": t.arn(), "reason": "DEPLOYMENT_BLOCKED"})
			continue
		}
		t.protected = on
		answers = append(answers, t.protection())
	}
	return object{"protectedTasks": answers, "failures": failures}, nil
}

// protectionEnds is when all protection does.
var protectionEnds = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func (t *task) protection() object {
	answer := object{"taskArn": t.arn(), "protectionEnabled": t.protected}
	if t.protected {
		answer["expirationDate"] = epoch(protectionEnds)
	}
	return answer
}

func (a *AWS) getTaskProtection(r *request) (any, error) {
	tasks, failures, err := a.named(r, 100)
	if err != nil {
		return nil, err
	}
	answers := []any{}
	for _, t := range tasks {
		answers = append(answers, t.protection())
	}
	return object{"protectedTasks": answers, "failures": failures}, nil
}

func (a *AWS) describeTaskDefinition(r *request) (any, error) {
	if r.input["taskDefinition"] != arn("ecs", "task-definition/SquidfleetProxyTask1A2B:7") {
		return nil, refuse("ClientException", "Unable to describe task definition.")
	}
	environment := []any{object{"name": "SQUIDFLEET_CREDENTIALS", "value": a.fleet.credentials}}
	secrets := []any{}
	if a.fleet.credentials == "secretsmanager" {
		environment = append(environment, object{"name": "SQUIDFLEET_REALM", "value": "squidfleet"}, object{"name": "SQUIDFLEET_USERS", "value": join(a.fleet.users)})
		for _, user := range a.fleet.users {
			secrets = append(secrets, object{"name": variable(user), "valueFrom": secretARN(user)})
		}
	}
	return object{"taskDefinition": object{
		"taskDefinitionArn": r.input["taskDefinition"], "family": "SquidfleetProxyTask1A2B", "revision": 7, "status": "ACTIVE", "networkMode": "awsvpc",
		"containerDefinitions": []any{object{"name": "proxy", "image": account + ".dkr.ecr." + Region + ".amazonaws.com/cdk-assets:1a2b", "essential": true, "environment": environment, "secrets": secrets}},
	}}, nil
}
