package standin

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

type object = map[string]any

// operations answer the actions, each with a value that the service's protocol encodes.
var operations = map[string]func(*AWS, *request) (any, error){
	"cloudformation:DescribeStacks":              (*AWS).describeStacks,
	"cloudformation:GetTemplate":                 (*AWS).getTemplate,
	"ec2:DescribeAvailabilityZones":              (*AWS).describeAvailabilityZones,
	"ec2:DescribeInternetGateways":               (*AWS).describeInternetGateways,
	"ec2:DescribeNetworkAcls":                    (*AWS).describeNetworkAcls,
	"ec2:DescribeNetworkInterfaces":              (*AWS).describeNetworkInterfaces,
	"ec2:DescribeRouteTables":                    (*AWS).describeRouteTables,
	"ec2:DescribeSubnets":                        (*AWS).describeSubnets,
	"ec2:DescribeVpcs":                           (*AWS).describeVpcs,
	"ecs:DescribeServices":                       (*AWS).describeServices,
	"ecs:DescribeTaskDefinition":                 (*AWS).describeTaskDefinition,
	"ecs:DescribeTasks":                          (*AWS).describeTasks,
	"ecs:GetTaskProtection":                      (*AWS).getTaskProtection,
	"ecs:ListAccountSettings":                    (*AWS).listAccountSettings,
	"ecs:ListServiceDeployments":                 (*AWS).listServiceDeployments,
	"ecs:ListTasks":                              (*AWS).listTasks,
	"ecs:StopTask":                               (*AWS).stopTask,
	"ecs:UpdateService":                          (*AWS).updateService,
	"ecs:UpdateTaskProtection":                   (*AWS).updateTaskProtection,
	"elasticloadbalancing:DescribeLoadBalancers": (*AWS).describeLoadBalancers,
	"elasticloadbalancing:DescribeTargetHealth":  (*AWS).describeTargetHealth,
	"iam:GetRole":                                (*AWS).getRole,
	"logs:FilterLogEvents":                       (*AWS).filterLogEvents,
	"secretsmanager:DescribeSecret":              (*AWS).describeSecret,
	"secretsmanager:GetSecretValue":              (*AWS).getSecretValue,
	"servicequotas:GetAWSDefaultServiceQuota":    (*AWS).getDefaultServiceQuota,
	"servicequotas:GetServiceQuota":              (*AWS).getServiceQuota,
	"sqs:GetQueueAttributes":                     (*AWS).getQueueAttributes,
	"ssm:GetParameter":                           (*AWS).getParameter,
	"sts:GetCallerIdentity":                      (*AWS).getCallerIdentity,
}

// inFleet refuses a question about another cluster or service.
func (a *AWS) inFleet(r *request, member string, want any) error {
	if r.Input["cluster"] != cluster {
		return refuse("ClusterNotFoundException", "Cluster not found.")
	}
	if got, list := r.Input[member].([]any); list && len(got) == 1 && got[0] == want || r.Input[member] == want {
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
		// A deployment exists until its tasks have ended. Those being drained do not count as
		// running.
		running, pending = running+deploymentRunning, pending+deploymentPending
		status := "ACTIVE"
		if i == len(f.deployments)-1 {
			status = "PRIMARY"
		}
		answer := object{
			"id": d.id, "status": status, "rolloutState": d.state, "createdAt": epoch(d.created),
			"desiredCount": f.desired, "runningCount": deploymentRunning, "pendingCount": deploymentPending,
			"taskDefinition": arn("ecs", "task-definition/SquidfleetProxyTask1A2B:7"),
		}
		if d.reason != "" {
			answer["rolloutStateReason"] = "ECS deployment circuit breaker: " + d.reason
		}
		deployments = append(deployments, answer)
	}
	return object{
		"serviceArn": arn("ecs", "service/"+cluster+"/"+service), "serviceName": service,
		"clusterArn": arn("ecs", "cluster/"+cluster), "status": "ACTIVE",
		"desiredCount": f.desired, "runningCount": running, "pendingCount": pending, "deployments": deployments,
		"taskDefinition": arn("ecs", "task-definition/SquidfleetProxyTask1A2B:7"),
		"loadBalancers": []any{
			object{"targetGroupArn": targetGroup, "containerName": "proxy", "containerPort": 35201},
		},
	}
}

func (a *AWS) listTasks(r *request) (any, error) {
	if err := a.inFleet(r, "serviceName", service); err != nil {
		return nil, err
	}
	var arns []any
	for _, t := range a.fleet.tasks {
		if t.stopping == (r.Input["desiredStatus"] == "STOPPED") {
			arns = append(arns, t.arn())
		}
	}
	token, _ := r.Input["nextToken"].(string)
	page, next, err := pageOf(arns, token)
	answer := object{"taskArns": page}
	if next != "" {
		answer["nextToken"] = next
	}
	return answer, err
}

// pageSize is small, so that no test meets a list that fits into one page. AWS may answer with
// fewer than were asked for, too.
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

// named returns the tasks that a request names, and failures for the unknown ones.
func (a *AWS) named(r *request, limit int) ([]*task, []any, error) {
	if r.Input["cluster"] != cluster {
		return nil, nil, refuse("ClusterNotFoundException", "Cluster not found.")
	}
	list, _ := r.Input["tasks"].([]any)
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
		"taskArn": t.arn(), "startedBy": t.deployment, "lastStatus": t.status, "desiredStatus": desired,
		"healthStatus": "HEALTHY", "availabilityZone": t.zone(), "capacityProviderName": provider,
		"createdAt": epoch(t.startedAt.Add(-20 * time.Second)),
	}
	if t.status == "PROVISIONING" {
		answer["healthStatus"] = "UNKNOWN"
		answer["createdAt"] = epoch(time.Now())
		answer["attachments"] = []any{
			object{"type": "ElasticNetworkInterface", "status": "PRECREATED", "details": []any{}},
		}
		return answer
	}
	answer["startedAt"] = epoch(t.startedAt)
	answer["attachments"] = []any{object{"type": "ElasticNetworkInterface", "status": "ATTACHED", "details": []any{
		object{"name": "subnetId", "value": "subnet-0f1e2d3c4b5a69788"},
		object{"name": "networkInterfaceId", "value": t.eni()},
		object{"name": "macAddress", "value": "0a:98:eb:a7:29:ba"},
		object{"name": "privateDnsName", "value": "ip-10-0-64-10." + Region + ".compute.internal"},
		object{"name": "privateIPv4Address", "value": t.private()},
	}}}
	return answer
}

func (a *AWS) stopTask(r *request) (any, error) {
	if r.Input["cluster"] != cluster {
		return nil, refuse("ClusterNotFoundException", "Cluster not found.")
	}
	for _, t := range a.fleet.tasks {
		if t.arn() == r.Input["task"] {
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
	for name := range r.Input {
		if !slices.Contains([]string{"cluster", "service", "desiredCount", "forceNewDeployment"}, name) {
			a.problem("ecs:UpdateService changes %s", name)
		}
	}
	if n, ok := r.Input["desiredCount"].(float64); ok {
		a.fleet.desired = int(n)
	}
	if r.Input["forceNewDeployment"] == true {
		a.fleet.deploy(time.Now())
	}
	return object{"service": a.service()}, nil
}

func (a *AWS) updateTaskProtection(r *request) (any, error) {
	tasks, failures, err := a.named(r, 10)
	if err != nil {
		return nil, err
	}
	on := r.Input["protectionEnabled"] == true
	if minutes, ok := r.Input["expiresInMinutes"].(float64); on && !ok || ok && (minutes < 1 || minutes > 2880) {
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
	if r.Input["taskDefinition"] != arn("ecs", "task-definition/SquidfleetProxyTask1A2B:7") {
		return nil, refuse("ClientException", "Unable to describe task definition.")
	}
	environment := []any{object{"name": "SQUIDFLEET_CREDENTIALS", "value": a.fleet.credentials}}
	secrets := []any{}
	if a.fleet.credentials == "secretsmanager" {
		environment = append(environment,
			object{"name": "SQUIDFLEET_USERS", "value": strings.Join(a.fleet.users, ",")})
		for _, user := range a.fleet.users {
			secrets = append(secrets, object{"name": variable(user), "valueFrom": secretARN(user)})
		}
	}
	return object{"taskDefinition": object{
		"taskDefinitionArn":    r.Input["taskDefinition"],
		"containerDefinitions": []any{object{"name": "proxy", "environment": environment, "secrets": secrets}},
	}}, nil
}
