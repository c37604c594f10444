package gate

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"squidfleet/internal/check"
)

// fault is a mistake that somebody might make in a template.
type fault struct {
	name string
	// rule is the invariant's that finds it, and where several findings of it would, the beginning of "rule: message".
	rule string
	set  string // "" is the default set
	// resource begins the logical id of the resource that has it, in the network's stack if it is one of the VPC's. With a "+" in it the resource is added. What begins with a
	// slash is a section of the proxy's template, or with /Network/ of the network's.
	resource string
	// path leads to the value below the resource, with numbers for items of lists.
	path string
	// value takes the value's place; a function gets the value that was there. nil takes it out.
	value any
}

// add appends to a list.
func add(items ...any) func(any) any {
	return func(was any) any {
		list, _ := was.([]any)
		return append(slices.Clone(list), items...)
	}
}

// drop takes an item out of a list.
func drop(i int) func(any) any {
	return func(was any) any { return slices.Delete(slices.Clone(was.([]any)), i, i+1) }
}

type tree = map[string]any

func ref(id string) tree               { return tree{"Ref": id} }
func getAtt(id, attribute string) tree { return tree{"Fn::GetAtt": []any{id, attribute}} }

func allow(action, resource any) tree {
	return tree{"Effect": "Allow", "Action": action, "Resource": resource}
}

// rule is a rule of a security group.
func rule(protocol string, first, last int, peer string, value any) tree {
	return tree{"IpProtocol": protocol, "FromPort": float64(first), "ToPort": float64(last), peer: value}
}

// The ways to what many faults are about.
const (
	container  = "Properties.ContainerDefinitions.0"
	attributes = "Properties.TargetGroupAttributes"
	awsvpc     = "Properties.NetworkConfiguration.AwsvpcConfiguration"
	trusted    = "Properties.AssumeRolePolicyDocument.Statement.0.Principal"
	target     = "Properties.Target"
)

var faults = []fault{
	// Who gets in.
	{"clients from anywhere (IPv4)", "firewall-clients", "", "LoadBalancerFirewall", "Properties.SecurityGroupIngress.0.CidrIp", "0.0.0.0/0"},
	{"a wider client block", "firewall-clients", "", "LoadBalancerFirewall", "Properties.SecurityGroupIngress.0.CidrIp", "203.0.112.0/23"},
	{"a client block too narrow", "firewall-clients", "", "LoadBalancerFirewall", "Properties.SecurityGroupIngress.0.CidrIp", "203.0.113.0/25"},
	{"one more client block", "firewall-clients", "", "LoadBalancerFirewall", "Properties.SecurityGroupIngress", add(rule("tcp", 35201, 35201, "CidrIp", "198.51.100.0/24"))},
	{"clients from anywhere (IPv6)", "firewall-clients", "", "LoadBalancerFirewall", "Properties.SecurityGroupIngress", add(rule("tcp", 35201, 35201, "CidrIpv6", "::/0"))},
	{"a client block missing", "firewall-clients", "everything", "LoadBalancerFirewall", "Properties.SecurityGroupIngress", drop(1)},
	{"a client block twice", `firewall-clients: SecurityGroupIngress: admits tcp 35201-35201 "203.0.113.0/24" (clientCidrs) twice`, "", "LoadBalancerFirewall", "Properties.SecurityGroupIngress",
		func(was any) any { return append(slices.Clone(was.([]any)), was.([]any)[0]) }},
	{"no client ingress", "firewall-clients", "", "LoadBalancerFirewall", "Properties.SecurityGroupIngress", nil},
	{"the load balancer's port off by one", "firewall-clients", "", "LoadBalancerFirewall", "Properties.SecurityGroupIngress.0.ToPort", 35202.0},
	{"UDP instead of TCP", "firewall-clients", "", "LoadBalancerFirewall", "Properties.SecurityGroupIngress.0.IpProtocol", "udp"},
	{"any protocol", "firewall-clients", "", "LoadBalancerFirewall", "Properties.SecurityGroupIngress.0.IpProtocol", "-1"},
	{"a prefix list as client", "firewall-clients", "", "LoadBalancerFirewall", "Properties.SecurityGroupIngress", add(rule("tcp", 35201, 35201, "SourcePrefixListId", "pl-12345678"))},
	{"SSH to the load balancer", "firewall-clients", "", "LoadBalancerFirewall", "Properties.SecurityGroupIngress", add(rule("tcp", 22, 22, "CidrIp", "203.0.113.0/24"))},
	{"the load balancer may send anywhere", "firewall-clients", "", "LoadBalancerFirewall", "Properties.SecurityGroupEgress", nil},
	{"the load balancer may send to the internet", "firewall-clients", "", "LoadBalancerFirewall", "Properties.SecurityGroupEgress", []any{rule("-1", 0, 0, "CidrIp", "0.0.0.0/0")}},
	{"a rule beside the group's own", "firewall-clients", "", "+Door", "", tree{"Type": "AWS::EC2::SecurityGroupIngress", "Properties": tree{
		"GroupId": getAtt("LoadBalancerFirewall", "GroupId"), "IpProtocol": "tcp", "FromPort": 35201.0, "ToPort": 35201.0, "CidrIp": "0.0.0.0/0"}}},

	// Who reaches the tasks, and what they reach.
	{"tasks reachable from anywhere", "firewall-tasks", "", "TaskFirewall", "Properties.SecurityGroupIngress", []any{rule("tcp", 35201, 35201, "CidrIp", "0.0.0.0/0")}},
	{"tasks' own rules that are none", "firewall-tasks: Properties.SecurityGroupIngress: is no list", "", "TaskFirewall", "Properties.SecurityGroupIngress", tree{}},
	{"tasks reachable from the VPC", "firewall-tasks", "", "TaskFirewall", "Properties.SecurityGroupIngress", []any{rule("tcp", 35201, 35201, "CidrIp", "10.0.0.0/16")}},
	{"tasks reachable from one another", "firewall-tasks", "", "FromLoadBalancer", "Properties.SourceSecurityGroupId", getAtt("TaskFirewall", "GroupId")},
	{"tasks reachable by address instead of group", "firewall-tasks", "", "FromLoadBalancer", "Properties", func(was any) any {
		p := maps.Clone(was.(tree))
		delete(p, "SourceSecurityGroupId")
		p["CidrIp"] = "10.0.0.0/27"
		return p
	}},
	{"the load balancer admitted at every port", "firewall-tasks", "", "FromLoadBalancer", "Properties.FromPort", 0.0},
	{"the load balancer admitted to a group from elsewhere", "unknown: a AWS::EC2::SecurityGroupIngress", "", "FromLoadBalancer", "Properties.GroupId", "sg-0123456789abcdef0"},
	{"the load balancer not admitted", "resource-count", "", "FromLoadBalancer", "", nil},
	{"the load balancer admitted to its own group", "firewall-clients", "", "FromLoadBalancer", "Properties.GroupId", getAtt("LoadBalancerFirewall", "GroupId")},
	{"tasks may send to any port", "firewall-tasks", "", "TaskFirewall", "Properties.SecurityGroupEgress", []any{rule("tcp", 0, 65535, "CidrIp", "0.0.0.0/0")}},
	{"tasks may send anything", "firewall-tasks", "", "TaskFirewall", "Properties.SecurityGroupEgress", nil},
	{"tasks may send mail", "firewall-tasks", "", "TaskFirewall", "Properties.SecurityGroupEgress", add(rule("tcp", 25, 25, "CidrIp", "0.0.0.0/0"))},
	{"tasks cannot reach port 443", "firewall-tasks", "", "TaskFirewall", "Properties.SecurityGroupEgress", drop(1)},
	{"tasks may send to IPv6 addresses of the VPC", "firewall-tasks", "", "TaskFirewall", "Properties.SecurityGroupEgress", add(rule("tcp", 80, 80, "CidrIpv6", "::/0"))},
	{"tasks cannot ask for names", "firewall-tasks", "imported", "TaskFirewall", "Properties.SecurityGroupEgress", func(was any) any {
		return slices.DeleteFunc(slices.Clone(was.([]any)), func(r any) bool { return r.(tree)["FromPort"] == 53.0 })
	}},
	{"tasks in the load balancer's group", "firewall: is that of", "", "Service", awsvpc + ".SecurityGroups.0", getAtt("LoadBalancerFirewall", "GroupId")},
	{"tasks in a group of somebody else's", "firewall-clients", "", "Service", awsvpc + ".SecurityGroups", []any{"sg-0123456789abcdef0"}},
	{"tasks in two groups", "network", "", "Service", awsvpc + ".SecurityGroups", add(getAtt("LoadBalancerFirewall", "GroupId"))},
	{"tasks in the VPC's default group", "firewall-clients", "", "Service", awsvpc + ".SecurityGroups", nil},

	// The load balancer.
	{"an internal load balancer", "load-balancer", "", "LoadBalancer", "Properties.Scheme", "internal"},
	{"an application load balancer", "load-balancer", "", "LoadBalancer", "Properties.Type", "application"},
	{"a security group from elsewhere", "firewall-clients: SecurityGroupIngress: there is no such group", "", "LoadBalancer", "Properties.SecurityGroups.0", "sg-0123456789abcdef0"},
	{"no security group", "firewall: Properties.SecurityGroups", "", "LoadBalancer", "Properties.SecurityGroups", nil},
	{"the tasks' security group", "firewall: is that of", "", "LoadBalancer", "Properties.SecurityGroups.0", getAtt("TaskFirewall", "GroupId")},
	{"cross-zone off at the load balancer", "load-balancer", "", "LoadBalancer", "Properties.LoadBalancerAttributes.1.Value", "false"},
	{"deletion protection", "load-balancer", "", "LoadBalancer", "Properties.LoadBalancerAttributes.0.Value", "true"},
	{"an attribute that does not exist", "load-balancer", "", "LoadBalancer", "Properties.LoadBalancerAttributes.1.Key", "load_balancing.crosszone.enabled"},
	{"IPv6 clients and an IPv4 load balancer", "load-balancer", "everything", "LoadBalancer", "Properties.IpAddressType", "ipv4"},
	{"a load balancer in one zone", "load-balancer", "", "LoadBalancer", "Properties.Subnets", drop(1)},
	{"a load balancer in the tasks' subnets", "network: is used twice", "", "LoadBalancer", "Properties.Subnets.0.Fn::GetStackOutput.OutputName", func(any) any { return "PublishOutputRefVpcTasksSubnet1Subnet07CA903B1E11EB27" }},
	{"the listener's port off by one", "listener", "", "Listener", "Properties.Port", 35200.0},
	{"a TLS listener without a certificate", "listener", "", "Listener", "Properties.Protocol", "TLS"},
	{"a UDP listener", "listener", "", "Listener", "Properties.Protocol", "TCP_UDP"},
	{"a listener that forwards nowhere", "listener", "", "Listener", "Properties.DefaultActions", []any{}},
	{"a listener that answers itself", "listener", "", "Listener", "Properties.DefaultActions.0.Type", "fixed-response"},
	{"a second listener", "resource-count", "", "+Other", "", tree{"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": tree{"LoadBalancerArn": ref("LoadBalancerBE9EEC3A"), "Port": 80.0, "Protocol": "TCP",
		"DefaultActions": []any{tree{"Type": "forward", "TargetGroupArn": ref("Targets7ED976EF")}}}}},

	// The targets.
	{"targets by instance", "targets", "", "Targets", "Properties.TargetType", "instance"},
	{"targets of the wrong protocol", "targets", "", "Targets", "Properties.Protocol", "TLS"},
	{"the targets' port off by one", "targets", "", "Targets", "Properties.Port", 35202.0},
	{"PROXY v2 off", "targets", "", "Targets", attributes + ".2.Value", "false"},
	{"PROXY v2 not mentioned", "targets", "", "Targets", attributes, drop(2)},
	{"client addresses preserved", "targets", "", "Targets", attributes + ".3.Value", "true"},
	{"cross-zone off at the targets", "targets", "", "Targets", attributes + ".1.Value", "false"},
	{"deregistration delay of five minutes", "targets", "", "Targets", attributes + ".0.Value", "300"},
	{"no deregistration delay", "targets", "", "Targets", attributes + ".0.Value", "0"},
	{"connections left hanging", "targets", "", "Targets", attributes + ".4.Value", "false"},
	{"connection termination not mentioned", "targets", "", "Targets", attributes, drop(4)},
	{"stickiness", "targets", "", "Targets", attributes, add(tree{"Key": "stickiness.enabled", "Value": "true"})},
	{"health checked over HTTP", "health", "", "Targets", "Properties.HealthCheckProtocol", "HTTP"},
	{"health checked at another port", "health", "", "Targets", "Properties.HealthCheckPort", "8080"},
	{"health checked every five minutes", "health", "", "Targets", "Properties.HealthCheckIntervalSeconds", 300.0},
	{"health checked half as often", "health", "", "Targets", "Properties.HealthCheckIntervalSeconds", 20.0},
	{"a health check that waits as long as its interval", "health", "", "Targets", "Properties.HealthCheckTimeoutSeconds", 10.0},
	{"health check off", "health", "", "Targets", "Properties.HealthCheckEnabled", false},
	{"ten failures until unhealthy", "health", "", "Targets", "Properties.UnhealthyThresholdCount", 10.0},
	{"targets in another VPC", "targets", "", "Targets", "Properties.VpcId", "vpc-0fedcba9876543210"},

	// The service.
	{"no public address", "network", "", "Service", awsvpc + ".AssignPublicIp", "DISABLED"},
	{"public address in the wrong case", "network", "", "Service", awsvpc + ".AssignPublicIp", "enabled"},
	{"public address not mentioned", "network", "", "Service", awsvpc + ".AssignPublicIp", nil},
	{"no tasks", "service", "", "Service", "Properties.DesiredCount", 0.0},
	{"one task too few", "service", "", "Service", "Properties.DesiredCount", 1.0},
	{"fewer tasks while deploying", "deployment", "", "Service", "Properties.DeploymentConfiguration.MinimumHealthyPercent", 50.0},
	{"no room for new tasks while deploying", "deployment", "", "Service", "Properties.DeploymentConfiguration.MaximumPercent", 100.0},
	{"circuit breaker off", "deployment", "", "Service", "Properties.DeploymentConfiguration.DeploymentCircuitBreaker.Enable", false},
	{"no rollback", "deployment", "", "Service", "Properties.DeploymentConfiguration.DeploymentCircuitBreaker.Rollback", false},
	{"service does not wait for the listener", "service", "", "Service", "DependsOn", drop(1)},
	{"service does not wait for the firewall", "service", "", "Service", "DependsOn", drop(0)},
	{"service waits for nothing", "service", "", "Service", "DependsOn", nil},
	{"container name of another", "targets", "", "Service", "Properties.LoadBalancers.0.ContainerName", "squid"},
	{"container port of another", "targets", "", "Service", "Properties.LoadBalancers.0.ContainerPort", 3128.0},
	{"service without load balancer", "targets", "", "Service", "Properties.LoadBalancers", nil},
	{"shell access", "unknown", "", "Service", "Properties.EnableExecuteCommand", true},
	{"launch type beside a strategy", "unknown", "", "Service", "Properties.LaunchType", "FARGATE"},
	{"all on Spot", "service", "", "Service", "Properties.CapacityProviderStrategy.0.CapacityProvider", "FARGATE_SPOT"},
	{"weights in the wrong ratio", "service", "everything", "Service", "Properties.CapacityProviderStrategy.0.Weight", 3.0},
	{"a provider that does not exist", "service", "", "Service", "Properties.CapacityProviderStrategy.0.CapacityProvider", "FARGATE_ARM"},
	{"Spot without its provider in the cluster", "service", "spot", "Cluster", "Properties.CapacityProviders", []any{"FARGATE"}},
	{"platform of the day", "service", "", "Service", "Properties.PlatformVersion", "LATEST"},
	{"a name of its own (service)", "physical-name", "", "Service", "Properties.ServiceName", "proxy"},
	{"tasks in one subnet", "network: tasks: 1 subnets", "", "Service", awsvpc + ".Subnets", drop(1)},
	{"tasks in one subnet, twice", "network", "", "Service", awsvpc + ".Subnets", func(was any) any { l := was.([]any); return []any{l[0], l[0]} }},
	{"tasks in a subnet of another VPC", "network", "imported", "Service", awsvpc + ".Subnets.0", "subnet-0fffffff"},
	{"tasks in a private subnet", "network", "imported", "Service", awsvpc + ".Subnets.0", "subnet-0c000001"},
	{"tasks in a zone without the load balancer", "network: Properties.NetworkConfiguration", "zones", "Service", awsvpc + ".Subnets.0", "subnet-0d000001"},
	{"a load balancer that leaves a zone out", "network: Properties.NetworkConfiguration", "zones", "LoadBalancer", "Properties.Subnets", drop(2)},
	{"an old platform", "service", "", "Service", "Properties.PlatformVersion", "1.3.0"},
	{"a platform that does not exist", "service", "", "Service", "Properties.PlatformVersion", "1.5.0"},
	{"a grace period of five minutes", "service", "", "Service", "Properties.HealthCheckGracePeriodSeconds", 300.0},
	{"a grace period of a second", "service", "", "Service", "Properties.HealthCheckGracePeriodSeconds", 1.0},

	// The task.
	{"a task role", "task-role", "", "Task", "Properties.TaskRoleArn", getAtt("ExecutionRole605A040B", "Arn")},
	{"no execution role", "role: a role is missing", "", "Task", "Properties.ExecutionRoleArn", nil},
	{"the scheduler's role", "role: is the scheduler's and ECS's", "", "Task", "Properties.ExecutionRoleArn", getAtt("RotationRole4BEB9EFA", "Arn")},
	{"cpu and memory that do not go together", "task", "", "Task", "Properties.Memory", "8192"},
	{"less memory than the parameters say", "task", "everything", "Task", "Properties.Memory", "2048"},
	{"another architecture than the image's", "task", "", "Task", "Properties.RuntimePlatform.CpuArchitecture", "ARM64"},
	{"Windows", "task", "", "Task", "Properties.RuntimePlatform.OperatingSystemFamily", "WINDOWS_SERVER_2022_CORE"},
	{"bridge network", "task", "", "Task", "Properties.NetworkMode", "bridge"},
	{"EC2 instead of Fargate", "task", "", "Task", "Properties.RequiresCompatibilities", []any{"EC2"}},
	{"root", "container", "", "Task", container + ".User", "0:0"},
	{"no user", "container", "", "Task", container + ".User", nil},
	{"a writable root", "container", "", "Task", container + ".ReadonlyRootFilesystem", false},
	{"privileged", "container", "", "Task", container + ".Privileged", true},
	{"capabilities kept", "container", "", "Task", container + ".LinuxParameters", nil},
	{"a capability added", "container", "", "Task", container + ".LinuxParameters.Capabilities.Add", []any{"NET_ADMIN"}},
	{"no health check", "container", "", "Task", container + ".HealthCheck", nil},
	{"a health check that is always well", "container", "", "Task", container + ".HealthCheck.Command", []any{"CMD-SHELL", "exit 0"}},
	{"a health check that gives up late", "container", "", "Task", container + ".HealthCheck.Retries", 5.0},
	{"a health check without patience", "container", "", "Task", container + ".HealthCheck.Timeout", 2.0},
	{"too little time to stop", "container", "", "Task", container + ".StopTimeout", 30.0},
	{"more time to stop than Fargate gives", "container", "", "Task", container + ".StopTimeout", 300.0},
	{"few descriptors", "container", "", "Task", container + ".Ulimits.0.SoftLimit", 1024.0},
	{"no volume where the container writes", "container", "", "Task", container + ".MountPoints", nil},
	{"a volume in the wrong place", "container", "", "Task", container + ".MountPoints.0.ContainerPath", "/var/run"},
	{"the container's port off by one", "container", "", "Task", container + ".PortMappings.0.ContainerPort", 35202.0},
	{"another container name", "container", "", "Task", container + ".Name", "squid"},
	{"a container that need not run", "container", "", "Task", container + ".Essential", false},
	{"a second container", "container", "", "Task", "Properties.ContainerDefinitions", add(tree{"Name": "sidecar", "Image": "docker.io/library/busybox", "Essential": false})},
	{"an image from elsewhere", "container", "", "Task", container + ".Image", "docker.io/ubuntu/squid:latest"},
	{"another image's hash", "container", "", "Task", container + ".Image.Fn::Sub", func(was any) any { return was.(string)[:len(was.(string))-1] + "x" }},
	{"another command", "container", "", "Task", container + ".Command", []any{"sh"}},
	{"a password in the environment", "secret", "", "Task", container + ".Environment", add(tree{"Name": "SQUIDFLEET_PASSWORD_PROXY", "Value": "hunter2hunter2"})},
	{"an access key in the environment", "secret", "", "Task", container + ".Environment.2.Value", "AKIAIOSFODNN7EXAMPLE"},
	{"another realm", "container", "", "Task", container + ".Environment.2.Value", "Squidfleet"},
	{"a user too few", "container", "everything", "Task", container + ".Environment.3.Value", "alice,bob"},
	{"passwords expected in the image", "container", "", "Task", container + ".Environment.1.Value", "image"},
	{"a secret's version in the template", "secret", "", "Task", container + ".Environment", add(tree{"Name": "X", "Value": "{{resolve:secretsmanager:squid:SecretString}}"})},
	{"a user without a secret", "container", "everything", "Task", container + ".Secrets", drop(0)},
	{"users with each other's secrets", "container", "everything", "Task", container + ".Secrets", func(was any) any {
		l := was.([]any)
		return []any{tree{"Name": l[0].(tree)["Name"], "ValueFrom": l[1].(tree)["ValueFrom"]}, tree{"Name": l[1].(tree)["Name"], "ValueFrom": l[0].(tree)["ValueFrom"]}, l[2], l[3]}
	}},
	{"nonces of one task only", "container", "", "Task", container + ".Environment.0.Value", "squid"},
	{"no key of the nonces", "container", "", "Task", container + ".Secrets", drop(1)},
	{"a password as the key of the nonces", "password: is a user's password", "", "Task", container + ".Secrets.1.ValueFrom", ref("PasswordsOfproxy77572FBF")},
	{"a short key of the nonces", "password", "", "DigestKey", "Properties.GenerateSecretString.PasswordLength", 16.0},
	{"logs that block the proxy", "container", "", "Task", container + ".LogConfiguration.Options.mode", "blocking"},
	{"logs to another group", "container", "", "Task", container + ".LogConfiguration.Options.awslogs-group", "/ecs/proxy"},
	{"streams under a name that CloudWatch refuses", "container", "", "Task", container + ".LogConfiguration.Options.awslogs-stream-prefix", "proxy:x"},
	{"a small buffer for the log", "container", "", "Task", container + ".LogConfiguration.Options.max-buffer-size", "1m"},
	{"no log", "container", "", "Task", container + ".LogConfiguration", nil},
	{"a name of its own (task)", "physical-name", "", "Task", "Properties.Family", "squidfleet"},
	{"the host's process space", "unknown", "", "Task", "Properties.PidMode", "host"},
	{"a disk that lasts", "task", "", "Task", "Properties.Volumes.0.EFSVolumeConfiguration", tree{"FilesystemId": "fs-12345678"}},

	// Roles and secrets.
	{"execution role trusts EC2", "trust", "", "ExecutionRole", trusted, tree{"Service": "ec2.amazonaws.com"}},
	{"execution role trusts ECS itself", "trust", "", "ExecutionRole", trusted, tree{"Service": "ecs.amazonaws.com"}},
	{"execution role trusts everybody", "trust", "", "ExecutionRole", trusted, tree{"AWS": "*"}},
	{"execution role trusts the account", "trust", "", "ExecutionRole", trusted, tree{"AWS": ref("AWS::AccountId")}},
	{"execution role may not read the secret", "role", "", "ExecutionRole", "Properties.Policies", drop(1)},
	{"execution role may read any secret", "role", "", "ExecutionRole", "Properties.Policies.1.PolicyDocument.Statement.0.Resource", "*"},
	{"execution role may do anything with secrets", "role", "", "ExecutionRole", "Properties.Policies.1.PolicyDocument.Statement.0.Action", "secretsmanager:*"},
	{"execution role may pull any image", "role", "", "ExecutionRole", "Properties.Policies.0.PolicyDocument.Statement.1.Resource", "*"},
	{"execution role may not pull the image", "role", "", "ExecutionRole", "Properties.Policies.0.PolicyDocument.Statement.1.Action", drop(1)},
	{"execution role may make log groups", "role", "", "ExecutionRole", "Properties.Policies.2.PolicyDocument.Statement.0.Action", add("logs:CreateLogGroup")},
	{"an action twice", `role: Properties.Policies: permit logs:PutLogEvents on "⟨Squidfleet-Proxy/Log.Arn⟩" twice`, "", "ExecutionRole",
		"Properties.Policies.2.PolicyDocument.Statement.0.Action", add("logs:PutLogEvents")},
	{"execution role may not write the log", "role", "", "ExecutionRole", "Properties.Policies.2.PolicyDocument.Statement.0.Effect", "Deny"},
	{"execution role with a managed policy", "unknown", "", "ExecutionRole", "Properties.ManagedPolicyArns", []any{"arn:aws:iam::aws:policy/AdministratorAccess"}},
	{"everything but", "role", "", "ExecutionRole", "Properties.Policies.2.PolicyDocument.Statement", add(tree{"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"})},
	{"two policies of one name", "role: Properties.Policies.PolicyName", "", "ExecutionRole", "Properties.Policies.2.PolicyName", "ReadSecrets"},
	{"a policy's name that IAM refuses", "role: Properties.Policies.PolicyName", "", "ExecutionRole", "Properties.Policies.2.PolicyName", "Write log!"},
	{"a statement's id that IAM refuses", "role: Properties.Policies[2].PolicyDocument.Statement[0]", "", "ExecutionRole", "Properties.Policies.2.PolicyDocument.Statement.0.Sid", "Write the log!"},
	{"a policy beside the role", "resource-type", "", "+Policy", "", tree{"Type": "AWS::IAM::Policy", "Properties": tree{"PolicyName": "x", "Roles": []any{ref("ExecutionRole605A040B")},
		"PolicyDocument": tree{"Version": "2012-10-17", "Statement": []any{allow("s3:GetObject", "*")}}}}},
	{"an old policy language", "role", "", "ExecutionRole", "Properties.Policies.2.PolicyDocument.Version", "2008-10-17"},
	{"a name of its own (role)", "physical-name", "", "ExecutionRole", "Properties.RoleName", "execution"},
	{"a secret with its value", "unknown", "", "PasswordsOfproxy", "Properties.SecretString", "correct horse battery staple"},
	{"a short password", "password", "", "PasswordsOfproxy", "Properties.GenerateSecretString.PasswordLength", 8.0},
	{"a password longer than the password file takes", "password", "", "PasswordsOfproxy", "Properties.GenerateSecretString.PasswordLength", 320.0},
	{"a key longer than the helper takes", "password", "", "DigestKey", "Properties.GenerateSecretString.PasswordLength", 4096.0},
	{"a password with quotes", "password", "", "PasswordsOfproxy", "Properties.GenerateSecretString.ExcludePunctuation", false},
	{"a secret that stays", "removal", "", "PasswordsOfproxy", "DeletionPolicy", "Retain"},
	{"a secret that stays when replaced", "removal", "", "PasswordsOfproxy", "UpdateReplacePolicy", "Retain"},
	{"a secret without a policy", "removal", "", "PasswordsOfproxy", "DeletionPolicy", nil},
	{"secrets with credentials=image", "resource-count", "image", "+Password", "", tree{"Type": "AWS::SecretsManager::Secret", "DeletionPolicy": "Delete", "UpdateReplacePolicy": "Delete", "Properties": tree{
		"Description": "Password of the proxy user alice", "GenerateSecretString": tree{"ExcludePunctuation": true, "PasswordLength": 32.0}}}},
	{"a log kept for ever", "log", "", "Log", "Properties.RetentionInDays", nil},
	{"a retention that CloudWatch does not offer", "log", "", "Log", "Properties.RetentionInDays", 31.0},
	{"another retention than the parameters say", "log", "", "Log", "Properties.RetentionInDays", 7.0},
	{"a log that stays", "removal", "", "Log", "DeletionPolicy", "Retain"},
	{"a name of its own (log)", "physical-name", "", "Log", "Properties.LogGroupName", "/squidfleet"},

	// The rotation.
	{"rate(6 hour)", "schedule", "", "Rotation", "Properties.ScheduleExpression", "rate(6 hour)"},
	{"rate(1 hours)", "schedule", "", "Rotation", "Properties.ScheduleExpression", "rate(1 hours)"},
	{"rate(0 hours)", "schedule", "", "Rotation", "Properties.ScheduleExpression", "rate(0 hours)"},
	{"another rate than the parameters say", "schedule", "", "Rotation", "Properties.ScheduleExpression", "rate(2 hours)"},
	{"a cron expression with five fields", "schedule", "", "Rotation", "Properties.ScheduleExpression", "cron(0 * * * *)"},
	{"once", "schedule", "", "Rotation", "Properties.ScheduleExpression", "at(2030-01-01T00:00:00)"},
	{"a flexible window without minutes", "schedule", "", "Rotation", "Properties.FlexibleTimeWindow.Mode", "FLEXIBLE"},
	{"the target in lower case", "schedule", "", "Rotation", target + ".Arn", "arn:aws:scheduler:::aws-sdk:ecs:updateservice"},
	{"the target in capitals", "schedule", "", "Rotation", target + ".Arn", "arn:aws:scheduler:::aws-sdk:ECS:UpdateService"},
	{"another target", "schedule", "", "Rotation", target + ".Arn", "arn:aws:scheduler:::aws-sdk:ecs:stopTask"},
	{"the execution role as the scheduler's", "role: is the scheduler's and ECS's", "", "Rotation", target + ".RoleArn", getAtt("ExecutionRole605A040B", "Arn")},
	{"a rotation that changes nothing", "schedule", "", "Rotation", target + ".Input.Fn::Join.1.2", "\",\"ForceNewDeployment\":false,\"Service\":\""},
	{"a rotation of another service", "schedule", "", "Rotation", target + ".Input.Fn::Join.1.3", "proxy"},
	{"input that is no JSON", "schedule", "", "Rotation", target + ".Input.Fn::Join.1.0", "{\"Cluster\":"},
	{"no input", "schedule", "", "Rotation", target + ".Input", nil},
	{"no dead-letter queue", "schedule", "", "Rotation", target + ".DeadLetterConfig", nil},
	{"retries longer than the rotation", "schedule", "", "Rotation", target + ".RetryPolicy.MaximumEventAgeInSeconds", 2941.0},
	{"more retries than were meant", "schedule", "", "Rotation", target + ".RetryPolicy.MaximumRetryAttempts", 185.0},
	{"a rotation in words", "schedule", "", "Rotation", target + ".Input.Fn::Join.1.2", "\",\"ForceNewDeployment\":\"true\",\"Service\":\""},
	{"a rotation that is told twice", "schedule", "", "Rotation", target + ".Input.Fn::Join.1.2", "\",\"ForceNewDeployment\":false,\"ForceNewDeployment\":true,\"Service\":\""},
	{"input with something behind it", "schedule", "", "Rotation", target + ".Input.Fn::Join.1.4", "\"}{}"},
	{"no retries", "schedule", "", "Rotation", target + ".RetryPolicy.MaximumRetryAttempts", 0.0},
	{"a schedule that is off", "schedule", "", "Rotation", "Properties.State", "DISABLED"},
	{"a schedule in another group", "schedule", "", "Rotation", "Properties.GroupName", "default"},
	{"scheduler's role trusts any schedule", "trust", "", "RotationRole", "Properties.AssumeRolePolicyDocument.Statement.0.Condition", nil},
	{"scheduler's role trusts ECS", "trust", "", "RotationRole", trusted + ".Service", "ecs-tasks.amazonaws.com"},
	{"scheduler's role may update any service", "role", "", "RotationRole", "Properties.Policies.1.PolicyDocument.Statement.0.Resource", "*"},
	{"scheduler's role may not report failures", "role", "", "RotationRole", "Properties.Policies", drop(0)},
	{"scheduler's role may pass roles", "role", "", "RotationRole", "Properties.Policies.1.PolicyDocument.Statement", add(allow("iam:PassRole", "*"))},
	{"failures kept for a week", "failures", "", "FailedRotations", "Properties.MessageRetentionPeriod", 604800.0},
	{"failures kept for a minute", "failures", "", "FailedRotations", "Properties.MessageRetentionPeriod", 60.0},
	{"failures not encrypted", "failures", "", "FailedRotations", "Properties.SqsManagedSseEnabled", false},
	{"a queue for everybody", "failures", "", "FailedRotationsPolicy", "Properties.PolicyDocument.Statement.0.Effect", "Allow"},
	{"a schedule with rotateEvery=off", "resource-count", "image", "+Rotation", "", tree{"Type": "AWS::Scheduler::Schedule", "Properties": tree{"ScheduleExpression": "rate(1 hour)", "FlexibleTimeWindow": tree{"Mode": "OFF"},
		"Target": tree{"Arn": "arn:aws:scheduler:::aws-sdk:ecs:updateService", "RoleArn": getAtt("ExecutionRole605A040B", "Arn")}}}},

	// The network.
	{"no default route", "route: its routes lead to []", "", "VpcTasksSubnet1DefaultRoute", "", nil},
	{"a default route to a NAT gateway", "route", "", "VpcTasksSubnet1DefaultRoute", "Properties", func(was any) any {
		p := maps.Clone(was.(tree))
		delete(p, "GatewayId")
		p["NatGatewayId"] = "nat-0123456789abcdef0"
		return p
	}},
	{"a route to half of the internet", "route", "", "VpcTasksSubnet1DefaultRoute", "Properties.DestinationCidrBlock", "0.0.0.0/1"},
	{"a route to another gateway", "route", "", "VpcTasksSubnet1DefaultRoute", "Properties.GatewayId", "igw-0123456789abcdef0"},
	{"a route that does not wait for the gateway", "route", "", "VpcTasksSubnet1DefaultRoute", "DependsOn", nil},
	{"a route in another table", "route", "", "VpcTasksSubnet1DefaultRoute", "Properties.RouteTableId", ref("VpcTasksSubnet2RouteTable7E5D7AF2")},
	{"a subnet without a route table", "route", "", "VpcTasksSubnet2RouteTableAssociation", "", nil},
	{"gateway attached to another VPC", "route: Properties.VpcId", "", "VpcVPCGW", "Properties.VpcId", "vpc-0fedcba9876543210"},
	{"a route table in another VPC", "route: Properties.VpcId", "", "VpcTasksSubnet1RouteTable", "Properties.VpcId", "vpc-0fedcba9876543210"},
	{"no IPv6 range from Amazon", "network: Properties.AmazonProvidedIpv6CidrBlock", "", "Ipv6Block", "Properties.AmazonProvidedIpv6CidrBlock", false},
	{"gateway not attached", "resource-count", "", "VpcVPCGW", "", nil},
	{"no gateway", "reference", "", "VpcIGW", "", nil},
	{"a NAT gateway", "resource-type", "", "VpcNat+", "", tree{"Type": "AWS::EC2::NatGateway", "Properties": tree{"SubnetId": ref("VpcTasksSubnet1Subnet07CA903B"), "AllocationId": "eipalloc-01234567"}}},
	{"both subnets in one zone", "network", "", "VpcTasksSubnet2Subnet", "Properties.AvailabilityZone.Fn::Select.0", 0.0},
	{"a third zone", "network", "", "VpcTasksSubnet2Subnet", "Properties.AvailabilityZone.Fn::Select.0", 2.0},
	{"a subnet outside the VPC", "network", "", "VpcTasksSubnet2Subnet", "Properties.CidrBlock", "10.1.128.0/18"},
	{"subnets that overlap", "network", "", "VpcTasksSubnet2Subnet", "Properties.CidrBlock", "10.0.64.0/18"},
	{"a load balancer's subnet smaller than AWS takes", "network: Properties.CidrBlock", "", "VpcLoadBalancerSubnet2Subnet", "Properties.CidrBlock", "10.0.0.16/29"},
	{"a load balancer's subnet moved", "squid.conf", "", "VpcLoadBalancerSubnet2Subnet", "Properties.CidrBlock", "10.0.0.32/28"},
	{"a load balancer's subnet widened", "squid.conf", "", "VpcLoadBalancerSubnet2Subnet", "Properties.CidrBlock", "10.0.1.0/24"},
	{"a subnet too small for the fleet", "network", "", "VpcTasksSubnet1Subnet", "Properties.CidrBlock", "10.0.64.0/28"},
	{"another range for the VPC", "network", "", "Vpc8378EB38", "Properties.CidrBlock", "10.0.0.0/17"},
	{"no DNS in the VPC", "network", "", "Vpc8378EB38", "Properties.EnableDnsSupport", false},
	{"dedicated tenancy", "network", "", "Vpc8378EB38", "Properties.InstanceTenancy", "dedicated"},
	{"addresses for whatever starts in the subnet", "network", "", "VpcTasksSubnet1Subnet", "Properties.MapPublicIpOnLaunch", true},
	{"tasks with IPv6 addresses", "unknown", "", "VpcTasksSubnet1Subnet", "Properties.AssignIpv6AddressOnCreation", true},
	{"no IPv6 for IPv6 clients", "network", "everything", "VpcLoadBalancerSubnet1Subnet", "Properties.Ipv6CidrBlock", nil},
	{"no IPv6 route", "route", "everything", "Ipv6Route1", "", nil},
	{"an IPv6 route to half of the internet", "route", "everything", "Ipv6Route1", "Properties.DestinationIpv6CidrBlock", "2000::/4"},
	{"IPv6 range not waited for", "network", "everything", "VpcLoadBalancerSubnet1Subnet", "DependsOn", nil},
	{"a peering", "resource-type", "", "VpcPeer+", "", tree{"Type": "AWS::EC2::VPCPeeringConnection", "Properties": tree{"VpcId": ref("Vpc8378EB38"), "PeerVpcId": "vpc-0123456789abcdef0"}}},

	// Texts and labels: whatever nobody reads could hold anything.
	{"a rule's text without the rule's reason", "firewall-clients", "", "LoadBalancerFirewall", "Properties.SecurityGroupIngress.0.Description", "clients: <any>"},
	{"a rule's text too long for EC2", "firewall-tasks", "", "TaskFirewall", "Properties.SecurityGroupEgress.0.Description", strings.Repeat("x", 300)},
	{"a group's text with a character that EC2 refuses", "firewall", "", "TaskFirewall", "Properties.GroupDescription", "Tasks’ group"},
	{"the tasks' text for the load balancer's group", "firewall: Properties.GroupDescription", "", "LoadBalancerFirewall", "Properties.GroupDescription", "Tasks of the proxy"},
	{"a user's secret that does not say so", "password: no secret's description", "", "PasswordsOfproxy", "Properties.Description", "Password"},
	{"another label for the gateway", "network: Properties.Tags", "", "VpcIGW", "Properties.Tags.0.Value", "Gateway"},
	{"the other group's text", "firewall", "", "TaskFirewall", "Properties.GroupDescription", "Load balancer of the proxy"},
	{"the other role's text", "role", "", "ExecutionRole", "Properties.Description", "EventBridge Scheduler rotates the tasks of the proxy"},
	{"a secret's text too long", "password", "", "DigestKey", "Properties.Description", strings.Repeat("x", 3000)},
	{"the key of the nonces called a password", "password", "", "DigestKey", "Properties.Description", "Password of the proxy user proxy"},
	{"a tag", "unknown", "", "Log", "Properties.Tags", []any{tree{"Key": "a", "Value": "b"}}},
	{"a password in a tag", "secret", "", "Log", "Properties.Tags", []any{tree{"Key": "Password", "Value": "hunter2hunter2"}}},
	{"a tag twice", "network", "", "Vpc8378EB38", "Properties.Tags", add(tree{"Key": "Name", "Value": "b"})},
	{"a tag of Amazon's", "network", "", "Vpc8378EB38", "Properties.Tags.0.Key", "aws:Name"},
	{"a subnet under another's name", "network", "", "VpcTasksSubnet1Subnet", "Properties.Tags.2.Value", "Squidfleet-Network/Vpc/TasksSubnet2"},
	{"metadata", "unknown", "", "Log", "Metadata", tree{"aws:x": "hunter2hunter2"}},
	{"metadata that is no object", "unknown", "", "Log", "Metadata", "x"},
	{"a path with a text behind it", "unknown", "everything", "Log", "Metadata.aws:cdk:path", "Full-Proxy/Log/ *"},
	{"the path of another construct", "unknown", "everything", "PasswordsOfalice", "Metadata.aws:cdk:path", "Full-Proxy/Passwords/Of-bob/Resource"},
	{"an AWS secret key in the template's description", "template", "", "/Description", "", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"},
	{"an HA1 in an output's description", "secret", "", "/Outputs", "Endpoint.Description", "HA1 of proxy 5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"},
	{"a token in an output's description", "secret", "", "/Outputs", "Endpoint.Description", "github_pat_11ABCDEFG0abcdefghijklmnop"},

	// Outputs, by which people and command squidfleet find their way.
	{"an output missing", "output: is missing", "", "/Outputs", "Endpoint", nil},
	{"an output renamed", "output: is missing", "", "/Outputs", "", func(was any) any {
		o := maps.Clone(was.(tree))
		o["Endpoints"] = o["Endpoint"]
		delete(o, "Endpoint")
		return o
	}},
	{"two outputs with each other's ids", "output: Description", "", "/Outputs", "", func(was any) any {
		o := maps.Clone(was.(tree))
		o["ClusterName"], o["ServiceName"] = o["ServiceName"], o["ClusterName"]
		return o
	}},
	{"an output with another's value", "output: Value", "", "/Outputs", "ServiceName.Value", ref("Cluster")},
	{"the password of another user", "output: Value", "everything", "/Outputs", "PasswordOfalice.Value.Fn::Join.1.1", ref("PasswordsOfbobE2DCFAEB")},
	{"an output too many", "output: is \"", "", "/Outputs", "Role", tree{"Value": getAtt("ExecutionRole605A040B", "Arn")}},
	{"an output that is no text", `output: Value: is ["⟨Squidfleet-Proxy/Log⟩"], want a text`, "", "/Outputs", "LogGroup.Value", []any{ref("Log")}},
	{"an output of the network that nothing needs", "output: Value", "", "/Network/Outputs", "Other", tree{"Value": ref("VpcIGWD7BA715C")}},
	{"an export", "output: Export", "", "/Outputs", "Endpoint.Export", tree{"Name": "x"}},
	{"a conditional output", "unknown", "", "/Outputs", "Endpoint.Condition", "Never"},

	// The rest of the template.
	{"another bootstrap's version", "template", "", "/Parameters", "BootstrapVersion.Default", "/cdk-bootstrap/other/version"},
	{"a parameter", "template", "", "/Parameters", "Extra", tree{"Type": "String", "Default": "x"}},
	{"no check of the bootstrap's version", "template", "", "/Rules", "", nil},
	{"a macro", "template", "", "/Transform", "", "AWS::Serverless-2016-10-31"},

	// Things that do not belong there, and spelling.
	{"a Lambda function", "resource-type", "", "+Helper", "", tree{"Type": "AWS::Lambda::Function", "Properties": tree{"Runtime": "nodejs22.x", "Handler": "index.handler", "Role": getAtt("ExecutionRole605A040B", "Arn"),
		"Code": tree{"ZipFile": "exports.handler=()=>{}"}}}},
	{"a custom resource", "resource-type", "", "+Custom", "", tree{"Type": "Custom::Thing", "Properties": tree{"ServiceToken": "arn:aws:lambda:eu-west-1:123456789012:function:x"}}},
	{"a bucket", "resource-type", "", "+Bucket", "", tree{"Type": "AWS::S3::Bucket"}},
	{"a property misspelt", "unknown", "", "Service", "Properties.DesiredCounts", 2.0},
	{"a type misspelt", "resource-type", "", "Log", "Type", "AWS::Logs::Loggroup"},
	{"an attribute misspelt", "role", "", "Task", "Properties.ExecutionRoleArn", getAtt("ExecutionRole605A040B", "ARN")},
	{"a reference to nothing", "reference", "", "Service", "Properties.Cluster", ref("Clusters")},
	{"a dependency on what is needed later", "unknown: DependsOn", "", "Log", "DependsOn", []any{"Task"}},
	{"a dependency named twice", "reference: DependsOn", "", "Service", "DependsOn", add("FromLoadBalancer")},
	{"a dependency on nothing", "reference: DependsOn", "", "Service", "DependsOn", add("Listner")},
	{"a circle", "unknown: DependsOn", "", "Task", "DependsOn", []any{"Service"}},
	{"an output of the other stack that is not there", "reference", "", "Targets", "Properties.VpcId.Fn::GetStackOutput.OutputName", "PublishOutputRefVpc"},
	{"a stack that is not there", "reference", "", "Targets", "Properties.VpcId.Fn::GetStackOutput.StackName", "Network"},
	{"another region's stack", "reference", "", "Targets", "Properties.VpcId.Fn::GetStackOutput.Region", "us-east-1"},
	{"a condition", "unknown", "", "Service", "Condition", "Never"},
	{"a creation policy", "unknown", "", "Service", "CreationPolicy", tree{"ResourceSignal": tree{"Count": 1.0}}},
}

// find returns the stack and the resource that a fault is about.
func find(t *testing.T, a *check.Assembly, f fault) (*check.Stack, string) {
	t.Helper()
	i := slices.IndexFunc(a.Stacks, func(s *check.Stack) bool {
		network := strings.HasPrefix(f.resource, "Vpc") || strings.HasPrefix(f.resource, "Ipv6") || strings.HasPrefix(f.resource, "/Network/")
		return strings.HasSuffix(s.Name, "-Network") == network
	})
	if i < 0 {
		t.Fatalf("%s: the assembly has no such stack", f.name)
	}
	s := a.Stacks[i]
	if section, ok := strings.CutPrefix(f.resource, "/"); ok {
		return s, strings.TrimPrefix(section, "Network/")
	}
	if strings.Contains(f.resource, "+") {
		return s, strings.ReplaceAll(f.resource, "+", "") + "Added"
	}
	resources := s.Raw["Resources"].(tree)
	var found []string
	for id := range resources {
		if rest, ok := strings.CutPrefix(id, f.resource); ok && (rest == "" || len(rest) == 8 && strings.ToUpper(rest) == rest) {
			found = append(found, id)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%s: resources %v", f.name, found)
	}
	return s, found[0]
}

// put sets a value, which may be a function of the old one or nil to take it out, and returns the new tree.
func put(t *testing.T, name string, v any, path []string, value any) any {
	t.Helper()
	if len(path) == 0 {
		if change, ok := value.(func(any) any); ok {
			return change(v)
		}
		return value
	}
	switch v := v.(type) {
	case tree:
		now := put(t, name, v[path[0]], path[1:], value)
		if _, was := v[path[0]]; now == nil {
			if !was {
				t.Fatalf("%s: there is no %s to take out", name, path[0])
			}
			delete(v, path[0])
		} else {
			v[path[0]] = now
		}
		return v
	case []any:
		i, err := strconv.Atoi(path[0])
		if err != nil || i >= len(v) {
			t.Fatalf("%s: no item %s", name, path[0])
		}
		v[i] = put(t, name, v[i], path[1:], value)
		return v
	case nil:
		return put(t, name, tree{}, path, value)
	}
	t.Fatalf("%s: %v ends the way at %v", name, v, path)
	return nil
}

// inject returns an assembly with one fault, and the stack that has it.
func inject(t *testing.T, f fault) (*check.Assembly, *check.Stack) {
	t.Helper()
	set := f.set
	if set == "" {
		set = "default"
	}
	original := load(t, set)
	a := &check.Assembly{ContextFile: original.ContextFile, Lookups: original.Lookups}
	for _, s := range original.Stacks {
		copied := *s
		copied.Raw = clone(t, s.Raw)
		a.Stacks = append(a.Stacks, &copied)
	}
	s, id := find(t, a, f)
	path := []string{"Resources", id}
	if strings.HasPrefix(f.resource, "/") {
		path = []string{id}
	}
	if f.path != "" {
		path = append(path, strings.Split(f.path, ".")...)
	}
	before, _ := json.Marshal(s.Raw)
	put(t, f.name, s.Raw, path, f.value)
	if after, _ := json.Marshal(s.Raw); string(before) == string(after) {
		t.Fatalf("%s: changes nothing", f.name)
	}
	return a, s
}

// expects reports whether a finding, written as "rule: message", is the one that has to tell of the fault.
func (f fault) expects(finding string) bool {
	return strings.HasPrefix(finding, f.rule+": ") || strings.Contains(f.rule, ": ") && strings.HasPrefix(finding, f.rule)
}

// TestEveryFaultIsFound injects one fault at a time, wants it found by the rule that is there for it, and prints which layers of the check find it.
func TestEveryFaultIsFound(t *testing.T) {
	dir := t.TempDir()
	var mutants []*check.Stack
	layers := make([]map[check.Layer]bool, len(faults))
	names := map[string]bool{}
	for i, f := range faults {
		if names[f.name] {
			t.Errorf("%s: named twice", f.name)
		}
		names[f.name] = true
		a, s := inject(t, f)
		layers[i] = map[check.Layer]bool{}
		var rules []string
		for _, finding := range check.Invariants(a) {
			layers[i][finding.Layer] = true
			rules = append(rules, finding.Rule+": "+finding.Message)
		}
		if !slices.ContainsFunc(rules, f.expects) {
			t.Errorf("%s: found by %q, not by %s", f.name, rules, f.rule)
		}
		text, err := json.Marshal(s.Raw)
		if err != nil {
			t.Fatal(err)
		}
		s.TemplateFile = filepath.Join(dir, fmt.Sprintf("%d.template.json", i))
		if err := os.WriteFile(s.TemplateFile, text, 0o600); err != nil {
			t.Fatal(err)
		}
		mutants = append(mutants, s)
	}
	validated, err := check.Validate(t.Context(), root, mutants...)
	if err != nil {
		t.Fatal(err)
	}
	count := map[check.Layer]int{}
	missed := 0
	for i, f := range faults {
		for _, finding := range validated[i] {
			layers[i][finding.Layer] = true
		}
		for layer := range layers[i] {
			count[layer]++
		}
		if len(layers[i]) == 0 {
			missed++
			t.Errorf("%s: not found", f.name)
		}
		t.Logf("%-50s %-20s %v", f.name, f.rule, slices.Sorted(maps.Keys(layers[i])))
	}
	t.Logf("%d faults, %d found: AWS's rules %d, cdk-preflight %d, invariants %d", len(faults), len(faults)-missed, count[check.AWS], count[check.Preflight], count[check.Invariant])
	if len(faults) < 200 {
		t.Errorf("only %d faults", len(faults))
	}
}
