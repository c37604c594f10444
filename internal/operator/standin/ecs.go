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

// named returns the service with an ARN or a name.
func (a *AWS) named(name any) (*service, error) {
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

func (a *AWS) services(r *request) ([]any, error) {
	if r.Text("maxResults") != "100" {
		a.problem("ecs:ListServices answers with 10 services a page")
	}
	arns := []any{stranger, deleted}
	for _, s := range slices.Backward(a.fleet.services) {
		arns = append(arns, s.arn())
	}
	return arns, nil
}

// batch returns the names that are asked for, of which a call takes so many.
func batch(r *request, list string, most int) ([]any, error) {
	names, _ := r.Input[list].([]any)
	if len(names) == 0 || len(names) > most {
		return nil, refuse("InvalidParameterException", "%s must have between 1 and %d members.", list, most)
	}
	return names, nil
}

func (a *AWS) describeServices(r *request) (any, error) {
	names, err := batch(r, "services", 10)
	include, _ := r.Input["include"].([]any)
	var found []object
	for _, name := range names {
		switch name {
		case stranger:
			found = append(found, object{"serviceName": "Other", "status": "ACTIVE"})
			continue
		case deleted:
			found = append(found, object{"serviceName": "Deleted", "status": "DRAINING", "tags": tags(3)})
			continue
		}
		s, err := a.named(name)
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
	return object{"services": found}, err
}

func tags(number int) []object {
	return []object{
		{"key": "team", "value": "crawlers"}, {"key": params.AddressTag, "value": strconv.Itoa(number)},
	}
}

func (a *AWS) service(s *service) object {
	var deployments []object
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
	groups := []object{{"targetGroupArn": targetGroup}}
	if !a.model.portless {
		groups = append(groups, object{"targetGroupArn": fmt.Sprintf("%s%d", targetGroup, s.number)})
	}
	return object{
		"serviceArn": s.arn(), "serviceName": s.name(), "status": "ACTIVE", "desiredCount": s.desired,
		"deployments": deployments, "taskDefinition": taskDefinition, "loadBalancers": groups,
	}
}

func (a *AWS) taskARNs(r *request) (arns []any, err error) {
	for _, t := range a.fleet.tasks() {
		if t.stopping == (r.Input["desiredStatus"] == "STOPPED") {
			arns = append(arns, t.arn())
		}
	}
	return arns, nil
}

func (a *AWS) describeTasks(r *request) (any, error) {
	names, err := batch(r, "tasks", 100)
	var found []object
	for _, name := range names {
		if t := a.fleet.find(func(t *task) bool { return t.arn() == name }); t != nil {
			found = append(found, t.describe())
		}
	}
	return object{"tasks": found}, err
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
	details := []object{}
	if t.status == "PROVISIONING" {
		answer["healthStatus"] = "UNKNOWN"
	} else {
		answer["startedAt"] = epoch(t.startedAt)
		details = []object{
			{"name": "subnetId", "value": "subnet-0f1e2d3c4b5a69788"}, {"name": "networkInterfaceId", "value": t.eni()},
			{"name": "privateIPv4Address", "value": t.private()},
		}
	}
	answer["attachments"] = []object{{"type": "ElasticNetworkInterface", "details": details}}
	return answer
}

func (a *AWS) stopTask(r *request) (any, error) {
	t := a.fleet.find(func(t *task) bool { return t.arn() == r.Input["task"] })
	if t == nil {
		return nil, refuse("InvalidParameterException", "The referenced task was not found.")
	}
	if want := "squidfleet retire " + t.public(); r.Text("reason") != want {
		a.problem("ecs:StopTask with the reason %q, want %q", r.Text("reason"), want)
	}
	t.stop()
	return object{"task": t.describe()}, nil
}

func (a *AWS) updateService(r *request) (any, error) {
	s, err := a.named(r.Input["service"])
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

func (a *AWS) describeTaskDefinition(*request) (any, error) {
	auth, credentials := a.model.words["auth"], a.model.words["credentials"]
	environment := []object{{"name": "SQUIDFLEET_AUTH", "value": auth}}
	secrets := []object{}
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
		"registeredAt":    epoch(time.Now().Add(-50*time.Hour - time.Minute)),
		"runtimePlatform": object{"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"},
		"containerDefinitions": []object{{
			"name": "proxy", "environment": environment, "secrets": secrets, "dockerLabels": labels,
		}},
	}}, nil
}

func (a *AWS) serviceDeployments(r *request) (found []any, err error) {
	s, err := a.named(r.Input["service"])
	if err != nil {
		return nil, err
	}
	created, _ := r.Input["createdAt"].(object)
	after, _ := created["after"].(float64)
	statuses, _ := r.Input["status"].([]any)
	for _, d := range s.history {
		if epoch(d.created) > after && slices.Contains(statuses, any(d.state)) {
			found = append(found, object{
				"createdAt": epoch(d.created), "status": d.state,
				"statusReason": "Service deployment rolled back because the circuit breaker threshold was exceeded.",
			})
		}
	}
	return found, nil
}
