package awsstandin

import (
	"fmt"
	"strings"
)

// The calls of this file are the CLI's own search for the cause of a failed deployment.

func (s *Server) describeStackResources(r *request) (any, error) {
	st, err := s.mustStack(r)
	if err != nil {
		return nil, err
	}
	type stackResource struct{ StackId, StackName, LogicalResourceId, PhysicalResourceId, ResourceType, ResourceStatus string }
	var all []stackResource
	for _, one := range st.resources {
		var status string
		for _, e := range st.events {
			if e.LogicalResourceId == one.logicalID {
				status = e.ResourceStatus
			}
		}
		all = append(all, stackResource{st.arn, st.name, one.logicalID, one.id, one.kind, status})
	}
	return struct {
		StackResources []stackResource `xml:"StackResources>member"`
	}{all}, nil
}

// lookupEvents finds nothing: CloudTrail tells of a call minutes after it was made.
func (s *Server) lookupEvents(r *request) (any, error) {
	r.indifferent("StartTime", "EndTime", "MaxResults", "NextToken")
	return map[string]any{"Events": []any{}}, nil
}

// describeServices knows the services that the stacks have made, and none that was rolled back.
func (s *Server) describeServices(r *request) (any, error) {
	cluster := r.text("cluster")
	services, failures := []any{}, []any{}
	for _, name := range names(r, "services") {
		arn := fmt.Sprintf("arn:%s:ecs:%s:%s:service/%s/%s", partition, Region, Account, cluster, name)
		service := s.find("AWS::ECS::Service", arn)
		if service == nil {
			failures = append(failures, map[string]any{"arn": arn, "reason": "MISSING"})
			continue
		}
		services = append(services, map[string]any{
			"serviceArn": arn, "serviceName": name, "status": "ACTIVE", "taskDefinition": service.properties["TaskDefinition"], "events": []any{},
		})
	}
	return map[string]any{"services": services, "failures": failures}, nil
}

// listTasks finds nothing: no task ever runs here.
func (s *Server) listTasks(r *request) (any, error) {
	r.indifferent("cluster", "serviceName", "desiredStatus")
	return map[string]any{"taskArns": []any{}}, nil
}

// describeTaskDefinition tells where the containers log to.
func (s *Server) describeTaskDefinition(r *request) (any, error) {
	arn := r.text("taskDefinition")
	task := s.find("AWS::ECS::TaskDefinition", arn)
	if task == nil {
		return nil, &apiError{"ClientException", "Unable to describe task definition.", 400}
	}
	containers, _ := task.properties["ContainerDefinitions"].([]any)
	var described []any
	for _, one := range containers {
		container, _ := one.(map[string]any)
		log, _ := container["LogConfiguration"].(map[string]any)
		described = append(described, map[string]any{
			"name": container["Name"], "image": container["Image"],
			"logConfiguration": map[string]any{"logDriver": log["LogDriver"], "options": log["Options"]},
		})
	}
	return map[string]any{"taskDefinition": map[string]any{"taskDefinitionArn": arn, "containerDefinitions": described}}, nil
}

// filterLogEvents finds nothing in the logs that there are.
func (s *Server) filterLogEvents(r *request) (any, error) {
	r.indifferent("startTime", "limit", "logStreamNames", "logStreamNamePrefix")
	group := r.text("logGroupName")
	if s.find("AWS::Logs::LogGroup", group) == nil {
		return nil, &apiError{"ResourceNotFoundException", "The specified log group does not exist.", 400}
	}
	return map[string]any{"events": []any{}}, nil
}

// lastPart is what follows the last slash.
func lastPart(id string) string { return id[strings.LastIndex(id, "/")+1:] }
