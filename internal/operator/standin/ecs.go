package standin

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"squidfleet/params"
	"squidfleet/squid"
)

const cluster = "Squidfleet-Proxy-Cluster-5Xq1oY2bQk3S"

var taskDefinition = arn("ecs", "task-definition/SquidfleetProxyTask1A2B:7")

// operations answer the actions, each with a value that the service's protocol encodes.
var operations = map[string]func(*AWS, *request) (any, error){
	"acm:DescribeCertificate":                    (*AWS).describeCertificate,
	"cloudformation:DescribeStacks":              (*AWS).describeStacks,
	"cloudformation:GetTemplate":                 (*AWS).getTemplate,
	"cloudwatch:DescribeAlarms":                  (*AWS).describeAlarms,
	"ec2:DescribeAvailabilityZones":              (*AWS).describeAvailabilityZones,
	"ec2:DescribeInternetGateways":               (*AWS).describeInternetGateways,
	"ec2:DescribeNetworkAcls":                    (*AWS).describeNetworkAcls,
	"ec2:DescribeNetworkInterfaces":              (*AWS).describeNetworkInterfaces,
	"ec2:DescribeRouteTables":                    (*AWS).describeRouteTables,
	"ec2:DescribeSecurityGroups":                 (*AWS).describeSecurityGroups,
	"ec2:DescribeSubnets":                        (*AWS).describeSubnets,
	"ec2:DescribeVpcs":                           (*AWS).describeVpcs,
	"ecs:DescribeServices":                       (*AWS).describeServices,
	"ecs:DescribeTaskDefinition":                 (*AWS).describeTaskDefinition,
	"ecs:DescribeTasks":                          (*AWS).describeTasks,
	"ecs:ListAccountSettings":                    (*AWS).listAccountSettings,
	"ecs:ListServiceDeployments":                 (*AWS).listServiceDeployments,
	"ecs:ListServices":                           (*AWS).listServices,
	"ecs:ListTasks":                              (*AWS).listTasks,
	"ecs:StopTask":                               (*AWS).stopTask,
	"ecs:UpdateService":                          (*AWS).updateService,
	"elasticloadbalancing:DescribeLoadBalancers": (*AWS).describeLoadBalancers,
	"elasticloadbalancing:DescribeTargetHealth":  (*AWS).describeTargetHealth,
	"iam:GetRole":                                (*AWS).getRole,
	"logs:FilterLogEvents":                       (*AWS).filterLogEvents,
	"pricing:GetProducts":                        (*AWS).getProducts,
	"route53:GetHostedZone":                      (*AWS).getHostedZone,
	"secretsmanager:DescribeSecret":              (*AWS).describeSecret,
	"secretsmanager:GetSecretValue":              (*AWS).getSecretValue,
	"servicequotas:GetAWSDefaultServiceQuota":    (*AWS).getDefaultServiceQuota,
	"servicequotas:GetServiceQuota":              (*AWS).getServiceQuota,
	"sqs:GetQueueAttributes":                     (*AWS).getQueueAttributes,
	"ssm:GetParameter":                           (*AWS).getParameter,
	"sts:GetCallerIdentity":                      (*AWS).getCallerIdentity,
}

// inCluster refuses a question about another cluster.
func inCluster(r *request) error {
	if r.Input["cluster"] != cluster {
		return refuse("ClusterNotFoundException", "Cluster not found.")
	}
	return nil
}

// named returns the service with an ARN or a name.
func (a *AWS) named(r *request, name any) (*service, error) {
	if err := inCluster(r); err != nil {
		return nil, err
	}
	for _, s := range a.fleet.services {
		if name == s.name() || name == s.arn() {
			return s, nil
		}
	}
	return nil, refuse("ServiceNotFoundException", "Service not found.")
}

func epoch(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// Services of the cluster that are not the fleet's: somebody else's, and one that is being deleted.
var (
	stranger = arn("ecs", "service/"+cluster+"/Other")
	deleted  = arn("ecs", "service/"+cluster+"/Deleted")
)

func (a *AWS) listServices(r *request) (any, error) {
	if r.Text("maxResults") != "100" {
		a.problem("ecs:ListServices answers with 10 services a page")
	}
	arns := []string{stranger, deleted}
	for _, s := range slices.Backward(a.fleet.services) {
		arns = append(arns, s.arn())
	}
	return a.listed(r, "serviceArns", arns)
}

// listed is an answer with a page of a list of the cluster.
func (a *AWS) listed(r *request, member string, arns []string) (any, error) {
	if err := inCluster(r); err != nil {
		return nil, err
	}
	return inJSON(a, r, "nextToken", member, arns)
}

func (a *AWS) describeServices(r *request) (any, error) {
	names, _ := r.Input["services"].([]any)
	if len(names) == 0 || len(names) > 10 {
		return nil, refuse("InvalidParameterException", "services must have between 1 and 10 members.")
	}
	include, _ := r.Input["include"].([]any)
	var found []any
	for _, name := range names {
		switch name {
		case stranger:
			found = append(found, object{"serviceName": "Other", "status": "ACTIVE"})
			continue
		case deleted:
			found = append(found, object{"serviceName": "Deleted", "status": "DRAINING", "tags": tags(3)})
			continue
		}
		s, err := a.named(r, name)
		if err != nil {
			continue
		}
		a.fleet.step(s)
		described := a.service(s)
		if slices.Contains(include, any("TAGS")) {
			described["tags"] = tags(s.number)
		}
		found = append(found, described)
	}
	return object{"services": found}, inCluster(r)
}

func tags(number int) []any {
	return []any{
		object{"key": "team", "value": "crawlers"},
		object{"key": params.AddressTag, "value": strconv.Itoa(number)},
	}
}

func (a *AWS) service(s *service) object {
	var deployments []any
	for i, d := range slices.Backward(s.deployments) {
		status := "ACTIVE"
		if i == len(s.deployments)-1 {
			status = "PRIMARY"
		}
		answer := object{"id": d.id, "status": status, "rolloutState": d.state, "createdAt": epoch(d.created)}
		if d.reason != "" {
			answer["rolloutStateReason"] = "ECS deployment circuit breaker: " + d.reason
		}
		deployments = append(deployments, answer)
	}
	groups := []any{object{"targetGroupArn": targetGroup}}
	if !a.model.portless {
		groups = append(groups, object{"targetGroupArn": fmt.Sprintf("%s%d", targetGroup, s.number)})
	}
	return object{
		"serviceArn": s.arn(), "serviceName": s.name(), "status": "ACTIVE", "desiredCount": s.desired,
		"deployments": deployments, "taskDefinition": taskDefinition, "loadBalancers": groups,
	}
}

func (a *AWS) listTasks(r *request) (any, error) {
	var arns []string
	for _, t := range a.fleet.tasks() {
		if t.stopping == (r.Input["desiredStatus"] == "STOPPED") {
			arns = append(arns, t.arn())
		}
	}
	return a.listed(r, "taskArns", arns)
}

func (a *AWS) describeTasks(r *request) (any, error) {
	names, _ := r.Input["tasks"].([]any)
	if len(names) == 0 || len(names) > 100 {
		return nil, refuse("InvalidParameterException", "tasks must have between 1 and 100 members.")
	}
	var found []any
	for _, name := range names {
		if t := a.fleet.find(func(t *task) bool { return t.arn() == name }); t != nil {
			found = append(found, t.describe())
		}
	}
	return object{"tasks": found}, inCluster(r)
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
		"taskArn": t.arn(), "group": "service:" + t.service.name(), "lastStatus": t.status, "desiredStatus": desired,
		"healthStatus": "HEALTHY", "availabilityZone": t.zone(), "capacityProviderName": provider,
	}
	details := []any{}
	if t.status == "PROVISIONING" {
		answer["healthStatus"] = "UNKNOWN"
	} else {
		answer["startedAt"] = epoch(t.startedAt)
		details = append(details, object{"name": "subnetId", "value": "subnet-0f1e2d3c4b5a69788"},
			object{"name": "networkInterfaceId", "value": t.eni()},
			object{"name": "privateIPv4Address", "value": t.private()})
	}
	answer["attachments"] = []any{object{"type": "ElasticNetworkInterface", "details": details}}
	return answer
}

func (a *AWS) stopTask(r *request) (any, error) {
	t := a.fleet.find(func(t *task) bool { return t.arn() == r.Input["task"] })
	if t == nil {
		return nil, refuse("InvalidParameterException", "The referenced task was not found.")
	}
	t.stop()
	return object{"task": t.describe()}, inCluster(r)
}

func (a *AWS) updateService(r *request) (any, error) {
	s, err := a.named(r, r.Input["service"])
	if err != nil {
		return nil, err
	}
	for name := range r.Input {
		if !slices.Contains([]string{"cluster", "service", "desiredCount", "forceNewDeployment"}, name) {
			a.problem("ecs:UpdateService changes %s", name)
		}
	}
	if n, ok := r.Input["desiredCount"].(float64); ok {
		if n > 1 || r.Input["forceNewDeployment"] == true {
			a.problem("ecs:UpdateService with %v", r.Input)
		}
		s.desired = int(n)
	}
	if r.Input["forceNewDeployment"] == true {
		if s.primary().state == "IN_PROGRESS" {
			a.problem("ecs:UpdateService gives up the deployment under way of address %d", s.number)
		}
		s.deploy(time.Now())
	}
	return object{"service": a.service(s)}, nil
}

func (a *AWS) describeTaskDefinition(r *request) (any, error) {
	if r.Input["taskDefinition"] != taskDefinition {
		return nil, refuse("ClientException", "Unable to describe task definition.")
	}
	auth, credentials := a.model.words["auth"], a.model.words["credentials"]
	environment := []any{object{"name": "SQUIDFLEET_AUTH", "value": auth}}
	secrets := []any{}
	if auth != "none" {
		environment = append(environment, object{"name": "SQUIDFLEET_CREDENTIALS", "value": credentials})
	}
	if auth != "none" && credentials == "secretsmanager" {
		environment = append(environment, object{"name": "SQUIDFLEET_USERS", "value": a.model.words["users"]})
		for _, user := range a.model.users() {
			secrets = append(secrets, object{"name": squid.PasswordVariable(user), "valueFrom": secretARN(user)})
		}
	}
	labels := object{}
	if base := a.model.words["base"]; base != "" {
		labels[params.BaseLabel] = base
	}
	return object{"taskDefinition": object{
		"taskDefinitionArn": r.Input["taskDefinition"],
		"registeredAt":      epoch(time.Now().Add(-50*time.Hour - time.Minute)),
		"runtimePlatform":   object{"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"},
		"containerDefinitions": []any{object{
			"name": "proxy", "environment": environment, "secrets": secrets, "dockerLabels": labels,
		}},
	}}, nil
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
	for _, d := range s.history {
		if epoch(d.created) <= after || !slices.Contains(statuses, any(d.state)) {
			continue
		}
		found = append(found, object{
			"createdAt": epoch(d.created), "status": d.state,
			"statusReason": "Service deployment rolled back because the circuit breaker threshold was exceeded.",
		})
	}
	return inJSON(a, r, "nextToken", "serviceDeployments", found)
}
