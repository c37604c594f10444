package standin

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// operations are the actions that are answered.
var operations = map[string]operation{
	"acm:DescribeCertificate": of("CertificateArn", Certificate, "ResourceNotFoundException",
		(*AWS).describeCertificate),
	"cloudformation:DescribeStacks": of("StackName", StackName+"-Proxy", "ValidationError",
		(*AWS).describeStacks),
	"cloudformation:GetTemplate": of("StackName", StackName+"-Proxy", "ValidationError",
		(*AWS).getTemplate),
	"cloudwatch:DescribeAlarms":     list("MetricAlarms", "", (*AWS).alarms),
	"ec2:DescribeAvailabilityZones": (*AWS).describeAvailabilityZones,
	"ec2:DescribeInternetGateways":  used("internetGatewaySet", "internet-gateways"),
	"ec2:DescribeNetworkAcls":       list("networkAclSet", "vpc-id", (*AWS).networkACLs),
	"ec2:DescribeNetworkInterfaces": list("networkInterfaceSet", "network-interface-id", (*AWS).interfaces),
	"ec2:DescribeRouteTables":       list("routeTableSet", "vpc-id", (*AWS).routeTables),
	"ec2:DescribeSecurityGroups":    list("securityGroupInfo", "group-id", (*AWS).securityGroups),
	"ec2:DescribeSubnets":           list("subnetSet", "vpc-id", (*AWS).subnets),
	"ec2:DescribeVpcs":              used("vpcSet", "vpcs"),
	"ecs:DescribeServices":          inCluster((*AWS).describeServices),
	"ecs:DescribeTaskDefinition": of("taskDefinition", taskDefinition, "ClientException",
		(*AWS).describeTaskDefinition),
	"ecs:DescribeTasks":                          inCluster((*AWS).describeTasks),
	"ecs:ListAccountSettings":                    (*AWS).listAccountSettings,
	"ecs:ListServiceDeployments":                 inCluster(list("serviceDeployments", "", (*AWS).serviceDeployments)),
	"ecs:ListServices":                           inCluster(list("serviceArns", "", (*AWS).services)),
	"ecs:ListTasks":                              inCluster(list("taskArns", "", (*AWS).taskARNs)),
	"ecs:StopTask":                               inCluster((*AWS).stopTask),
	"ecs:UpdateService":                          inCluster((*AWS).updateService),
	"elasticloadbalancing:DescribeLoadBalancers": used("LoadBalancers", "load-balancers"),
	"elasticloadbalancing:DescribeTargetHealth": of("TargetGroupArn", targetGroup, "TargetGroupNotFound",
		(*AWS).describeTargetHealth),
	"iam:GetRole": (*AWS).getRole,
	"logs:FilterLogEvents": of("logGroupName", logGroup, "ResourceNotFoundException",
		(*AWS).filterLogEvents),
	"pricing:GetProducts":                     list("PriceList", "", (*AWS).products),
	"route53:GetHostedZone":                   of("Id", Zone, "NoSuchHostedZone", (*AWS).getHostedZone),
	"secretsmanager:DescribeSecret":           (*AWS).describeSecret,
	"secretsmanager:GetSecretValue":           (*AWS).getSecretValue,
	"servicequotas:GetAWSDefaultServiceQuota": (*AWS).getDefaultServiceQuota,
	"servicequotas:GetServiceQuota":           (*AWS).getServiceQuota,
	"sqs:GetQueueAttributes": of("QueueUrl", failureQueue, "QueueDoesNotExist",
		(*AWS).getQueueAttributes),
	"ssm:GetParameter": of("Name", "/cdk-bootstrap/hnb659fds/version", "ParameterNotFound",
		(*AWS).getParameter),
	"sts:GetCallerIdentity": (*AWS).getCallerIdentity,
}

// operation answers an action with a value that the service's protocol encodes.
type operation func(*AWS, *request) (any, error)

// of is an operation on one thing, with the code of the error about any other.
func of(argument, thing, code string, answer operation) operation {
	return func(a *AWS, r *request) (any, error) {
		if r.Text(argument) != thing {
			return nil, refuse(code, "%s %s does not exist", argument, r.Text(argument))
		}
		return answer(a, r)
	}
}

func inCluster(answer operation) operation {
	return of("cluster", cluster, "ClusterNotFoundException", answer)
}

// tokens are a service's names for the token of the next page, in a question and in an answer.
var tokens = map[string][2]string{
	"ec2": {"NextToken", "nextToken"}, "ecs": {"nextToken", "nextToken"},
	"elasticloadbalancing": {"Marker", "NextMarker"},
}

// list answers with a page of a list. By is the filter without which it would list too many.
func list(name, by string, things func(*AWS, *request) ([]any, error)) operation {
	return func(a *AWS, r *request) (any, error) {
		all, err := things(a, r)
		if err == nil {
			all, err = a.filter(r, by, all)
		}
		if err != nil {
			return nil, err
		}
		return a.page(r, name, all)
	}
}

// page answers with a page. AWS may answer with fewer than were asked for.
func (a *AWS) page(r *request, list string, all []any) (answer object, err error) {
	names := cmp.Or(tokens[r.Service], [2]string{"NextToken", "NextToken"})
	from := 0
	if token := r.Text(names[0]); token != "" {
		if from, err = strconv.Atoi(token); err != nil || from > len(all) {
			return nil, refuse("InvalidParameterException", "Invalid token.")
		}
	}
	to := min(from+a.pageSize, len(all))
	answer = object{list: all[from:to]}
	if to < len(all) {
		answer[names[1]] = strconv.Itoa(to)
	}
	return answer, nil
}

// filters are what EC2 filters by, and the members that it looks at.
var filters = map[string]string{
	"group-id": "groupId", "network-interface-id": "networkInterfaceId", "vpc-id": "vpcId", "zone-type": "zoneType",
}

// filter returns the things that a question's filters let through. By is one that it has to have.
func (a *AWS) filter(r *request, by string, all []any) ([]any, error) {
	missing := by != ""
	for i := 1; r.Text(fmt.Sprintf("Filter.%d.Name", i)) != ""; i++ {
		name := r.Text(fmt.Sprintf("Filter.%d.Name", i))
		member, known := filters[name]
		missing = missing && name != by
		var values []any
		for argument, value := range r.Input {
			if strings.HasPrefix(argument, fmt.Sprintf("Filter.%d.Value.", i)) {
				values = append(values, value)
			}
		}
		if !known || len(values) == 0 || len(values) > 200 {
			return nil, refuse("InvalidParameterValue", "The filter '%s' is invalid, or has not 1 to 200 values", name)
		}
		all = slices.DeleteFunc(all, func(one any) bool { return !slices.Contains(values, one.(object)[member]) })
	}
	if missing {
		a.problem("ec2:%s would list more than those of a %s", r.Action, by)
	}
	return all, nil
}

// used lists things of which only the number matters, and an Application Load Balancer.
func used(name, things string) operation {
	return list(name, "", func(a *AWS, r *request) (all []any, err error) {
		if r.Action == "DescribeLoadBalancers" {
			all = append(all, object{"Type": "application"})
		}
		n, err := strconv.Atoi(a.model.tables["used"][things])
		return append(all, slices.Repeat([]any{object{"Type": "network"}}, n)...), err
	})
}
