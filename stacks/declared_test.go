package stacks_test

// What a new parameter, and a new type of resource, has to say here.

// variant is the change of one parameter. Both sides are changes of cdk.json's context.
type variant struct {
	key, change   string
	before, after map[string]any
}

const certificate = "arn:aws:acm:eu-west-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef"

var inside = only("endpoint", "internal")

// variants has at least one change of every parameter.
var variants = []variant{
	{"stackName", "`Squidfleet` to `Second`", nil, only("stackName", "Second")},
	{"clientCidrs", "another block", nil, only("clientCidrs", "198.51.100.7/32")},
	{"clientCidrs", "the first IPv6 block", nil, only("clientCidrs", "203.0.113.0/24,2001:db8::/32")},
	{"allowAnyClient", "`false` to `true`", nil, only("allowAnyClient", "true")},
	{"clientSecurityGroups", "a group", imported(inside),
		imported(with(inside, "clientSecurityGroups", "sg-0a1b2c3d"))},
	{"endpoint", "`public` to `internal`", nil, only("endpoint", "internal")},
	{"privateLinkPrincipals", "the first", inside,
		with(inside, "privateLinkPrincipals", "arn:aws:iam::111122223333:root")},
	{"certificateArn", "a certificate", nil, only("certificateArn", certificate)},
	{"domainName", "a name in `hostedZoneId`", nil,
		map[string]any{"domainName": "proxy.example.com", "hostedZoneId": "Z0123456789ABCDEFGHIJ"}},
	{"hostedZoneId", "for `domainName`", map[string]any{"domainName": "a.b", "certificateArn": certificate},
		map[string]any{"domainName": "a.b", "certificateArn": certificate, "hostedZoneId": "Z0123456789ABCDEFGHIJ"}},
	{"auth", "`digest` to `basic`", nil, map[string]any{"auth": "basic", "allowPlaintextBasic": "true"}},
	{"auth", "`digest` to `none`", nil, only("auth", "none")},
	{"allowPlaintextBasic", "`false` to `true`", nil, only("allowPlaintextBasic", "true")},
	// The CDK gives constructs of these names a meaning.
	{"users", "one more", only("users", "Resource"), only("users", "Resource,Default")},
	{"users", "one less", only("users", "proxy,alice"), nil},
	{"realm", "another", nil, only("realm", "other")},
	{"digest", "`fleet` to `squid`", only("fleetSize", "1"), map[string]any{"fleetSize": "1", "digest": "squid"}},
	{"credentials", "`secretsmanager` to `image`", nil, only("credentials", "image")},
	{"listenerPort", "another", nil, only("listenerPort", "35202")},
	{"addressPorts", "`true` to `false`", nil, only("addressPorts", "false")},
	{"idleTimeout", "`350s` to `10m`", nil, only("idleTimeout", "10m")},
	{"httpPorts", "one more", nil, only("httpPorts", "80,8080")},
	{"connectPorts", "one more", nil, only("connectPorts", "443,80,8443")},
	{"allowedDomains", "a name", nil, only("allowedDomains", ".example.com")},
	{"blockedDomains", "a name", nil, only("blockedDomains", ".example.com")},
	{"blockedCidrs", "a block", nil, only("blockedCidrs", "1.2.3.0/24")},
	{"allowedPrivateCidrs", "a block", nil, only("allowedPrivateCidrs", "192.168.7.0/24")},
	{"fleetSize", "2 to 3", nil, only("fleetSize", "3")},
	{"cpu", "256 to 512", only("memory", "1024"), map[string]any{"memory": "1024", "cpu": "512"}},
	{"memory", "512 to 1024", nil, only("memory", "1024")},
	{"architecture", "`x86_64` to `arm64`", nil, only("architecture", "arm64")},
	{"spotShare", "0 to 50", nil, only("spotShare", "50")},
	{"rotateEvery", "`1h` to `2h`", nil, only("rotateEvery", "2h")},
	{"rotateEvery", "`1h` to `off`", nil, only("rotateEvery", "off")},
	{"drainTimeout", "`2m` to `1m`", nil, only("drainTimeout", "1m")},
	{"activeHours", "`always` to hours", nil, only("activeHours", "mon-fri 07:00-19:00")},
	// The smallest that there is, in which the subnets have room.
	{"vpcCidr", "another block", nil, only("vpcCidr", "192.168.7.64/26")},
	{"zones", "none to two", nil, only("zones", "eu-west-1b,eu-west-1c")},
	{"vpcId", "none to one", nil, imported(nil)},
	{"logRetentionDays", "30 to 7", nil, only("logRetentionDays", "7")},
	{"metrics", "`true` to `false`", nil, only("metrics", "false")},
	{"alarmEmail", "none to one", nil, only("alarmEmail", "ops@example.com")},
	{"alarmTopicArn", "none to one", nil, only("alarmTopicArn", "arn:aws:sns:eu-west-1:123456789012:alarms")},
	{"dashboard", "`true` to `false`", nil, only("dashboard", "false")},
	{"timezone", "another", nil, only("timezone", "Asia/Tokyo")},
	{"tags", "one more", nil, only("tags", "team=crawlers")},
}

// What is noticed before or instead of something else, and where nothing is.
const (
	otherFleet = "another fleet beside the first, which stays until it is destroyed under its own name"
	newNetwork = "**do not change it in place**: the tasks would move to a new network while the old one cannot be " +
		"deleted. Deploy a second fleet under another `stackName`, then destroy the first"
	newEndpoint = "a new endpoint, to which nobody can connect until the new tasks are healthy"
	newPort     = "clients must use the new port; nobody can connect until the new tasks are healthy, " +
		"and connections may be cut"
	clients = "who may connect, at once"
	ports   = "ports of addresses open, or close"
	nothing = "nothing"
)

// effects are what a person notices, the gravest first, and of what: of a property that changes in
// place, or of a resource that is added, removed or replaced. Whether a change replaces the
// resource is AWS's own data, see package cfnspec. Of a resource that comes or goes and is not
// here, only what refers to it is noticed.
//
// When ECS starts new tasks, that rules of security groups hold at once, and what retention does:
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UpdateService.html
// https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html
// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
// The rest changes without interruption (template reference) and is in no connection's way.
var effects = []struct{ noticed, of string }{
	{otherFleet, ""},
	{newNetwork, "VPC.added VPC.removed VPC.replaced LoadBalancer.Subnets"},
	{newEndpoint, "LoadBalancer.replaced"},
	// The listener gets its new, still empty target group before the service's new tasks are in it.
	{newPort, "Listener.replaced Listener.DefaultActions"},
	{"clients must connect with TLS, or without it, at once", "Listener.Protocol"},
	{"the name leads to the proxy, or no longer does", "RecordSet.added RecordSet.removed RecordSet.replaced"},
	{"PrivateLink endpoints can be made, or those that there are lead nowhere",
		"VPCEndpointService.added VPCEndpointService.removed VPCEndpointService.replaced"},
	{clients, "SecurityGroup.SecurityGroupIngress"},
	{"every task is replaced as in a rotation: new egress addresses, old connections drain",
		"Service.TaskDefinition Service.NetworkConfiguration Service.LoadBalancers Service.CapacityProviderStrategy"},
	{"addresses are added, or taken away as in a rotation; the others stay", "Service.added Service.removed"},
	{ports, "Listener.added Listener.removed"},
	{"a secret is generated", "Secret.added"},
	{"a secret is deleted at once, without a recovery window", "Secret.removed Secret.replaced"},
	{"AWS sends a mail with a link, without which no alarm comes", "Subscription.added"},
	{"CloudWatch Logs deletes, or keeps, older events", "LogGroup.RetentionInDays"},
	{nothing, `SecurityGroup.SecurityGroupEgress LoadBalancer.IpAddressType LoadBalancer.SecurityGroups
		LoadBalancer.EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic Listener.ListenerAttributes
		Listener.Certificates Listener.SslPolicy TargetGroup.TargetGroupAttributes Role.Policies
		Role.AssumeRolePolicyDocument Dashboard.DashboardBody Schedule.ScheduleExpression Schedule.Target
		QueuePolicy.PolicyDocument`},
}

// calls are what CloudFormation calls to make, change and delete the resources of a type, or to
// compute an intrinsic function, in the policies that allow it: for every fleet, for a name, TLS
// and PrivateLink, and for monitoring. One policy would be too long.
//
// They are what the page of a function says, what the handlers of a type call, as its schema
// declares it
// (https://docs.aws.amazon.com/cloudformation-cli/latest/userguide/resource-type-schema.html), and
// what the service checks besides on who calls it:
// https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/elb-api-permissions.html and
// https://github.com/kubernetes-sigs/aws-load-balancer-controller/issues/3917. The other services
// want nothing else, as the Service Authorization Reference says ("Dependent actions").
//
// The schemas of certificates and records declare none: theirs are those of the Service
// Authorization Reference that make, change and delete one, and that both services document for
// validation by DNS. That of query definitions names an action that IAM does not have.
//
// Left out are those for properties that no template sets: virtual private gateways, IPAM,
// customers' keys, replicas, capacity reservations, log delivery and index policies, users' pools.
var calls = map[string]string{
	"../docs/execution-policy.json": `
		Fn::GetAZs ec2: DescribeAccountAttributes DescribeAvailabilityZones DescribeSubnets
		Fn::GetStackOutput cloudformation: DescribeStacks
		AWS::EC2::InternetGateway ec2: CreateInternetGateway DeleteInternetGateway
		  DescribeInternetGateways CreateTags DeleteTags
		AWS::EC2::Route ec2: CreateRoute DeleteRoute ReplaceRoute DescribeNetworkInterfaces
		  DescribeRouteTables
		AWS::EC2::RouteTable ec2: CreateRouteTable DeleteRouteTable DescribeRouteTables CreateTags
		  DeleteTags
		AWS::EC2::SecurityGroup ec2: CreateSecurityGroup DeleteSecurityGroup AuthorizeSecurityGroupEgress
		  AuthorizeSecurityGroupIngress RevokeSecurityGroupEgress RevokeSecurityGroupIngress
		  UpdateSecurityGroupRuleDescriptionsEgress UpdateSecurityGroupRuleDescriptionsIngress
		  DescribeInstances DescribeSecurityGroups CreateTags DeleteTags
		AWS::EC2::SecurityGroupIngress ec2: AuthorizeSecurityGroupIngress RevokeSecurityGroupIngress
		  UpdateSecurityGroupRuleDescriptionsIngress DescribeSecurityGroupRules DescribeSecurityGroups
		AWS::EC2::Subnet ec2: CreateSubnet DeleteSubnet ModifySubnetAttribute AssociateSubnetCidrBlock
		  DisassociateSubnetCidrBlock DescribeNetworkAcls DescribeSubnets CreateTags DeleteTags
		AWS::EC2::SubnetRouteTableAssociation ec2: AssociateRouteTable DisassociateRouteTable
		  ReplaceRouteTableAssociation DescribeRouteTables DescribeSubnets
		AWS::EC2::VPC ec2: CreateVpc DeleteVpc ModifyVpcAttribute ModifyVpcTenancy DescribeNetworkAcls
		  DescribeSecurityGroups DescribeVpcAttribute DescribeVpcEncryptionControls DescribeVpcs
		  CreateTags DeleteTags
		AWS::EC2::VPCCidrBlock ec2: AssociateVpcCidrBlock DisassociateVpcCidrBlock DescribeVpcs
		AWS::EC2::VPCGatewayAttachment ec2: AttachInternetGateway DetachInternetGateway
		  DescribeInternetGateways DescribeVpnGateways
		AWS::ECS::Cluster ecs: CreateCluster DeleteCluster UpdateCluster UpdateClusterSettings
		  PutClusterCapacityProviders DescribeClusters TagResource ListTagsForResource UntagResource iam:
		  CreateServiceLinkedRole
		AWS::ECS::Service ecs: CreateService DeleteService UpdateService StopServiceDeployment
		  DescribeServiceDeployments DescribeServices ListServiceDeployments TagResource
		  ListTagsForResource UntagResource
		AWS::ECS::TaskDefinition ecs: RegisterTaskDefinition DeregisterTaskDefinition
		  DescribeTaskDefinition TagResource ListTagsForResource UntagResource iam: GetRole PassRole
		AWS::ElasticLoadBalancingV2::Listener elasticloadbalancing: CreateListener DeleteListener
		  ModifyListener ModifyListenerAttributes DescribeListenerAttributes DescribeListeners AddTags
		  DescribeTags RemoveTags
		AWS::ElasticLoadBalancingV2::LoadBalancer elasticloadbalancing: CreateLoadBalancer
		  DeleteLoadBalancer ModifyLoadBalancerAttributes SetIpAddressType SetSecurityGroups SetSubnets
		  DescribeCapacityReservation DescribeLoadBalancerAttributes DescribeLoadBalancers AddTags
		  DescribeTags RemoveTags iam: CreateServiceLinkedRole ec2: DescribeAccountAttributes
		  DescribeAddresses DescribeInternetGateways DescribeSecurityGroups DescribeSubnets DescribeVpcs
		  GetSecurityGroupsForVpc
		AWS::ElasticLoadBalancingV2::TargetGroup elasticloadbalancing: CreateTargetGroup DeleteTargetGroup
		  ModifyTargetGroup ModifyTargetGroupAttributes DescribeTargetGroupAttributes DescribeTargetGroups
		  DescribeTargetHealth AddTags DescribeTags RemoveTags ec2: DescribeInternetGateways DescribeVpcs
		AWS::IAM::Role iam: CreateRole DeleteRole UpdateRole UpdateRoleDescription UpdateAssumeRolePolicy
		  PutRolePolicy PutRolePermissionsBoundary DeleteRolePolicy GetRole GetRolePolicy
		  ListAttachedRolePolicies ListRolePolicies TagRole UntagRole
		AWS::Logs::LogGroup logs: CreateLogGroup DeleteLogGroup PutRetentionPolicy DeleteRetentionPolicy
		  DescribeIndexPolicies DescribeLogGroups DescribeResourcePolicies GetDataProtectionPolicy
		  ListTagsForResource TagResource UntagResource
		AWS::SQS::Queue sqs: CreateQueue DeleteQueue GetQueueAttributes GetQueueUrl SetQueueAttributes
		  ListQueueTags TagQueue UntagQueue
		AWS::SQS::QueuePolicy sqs: SetQueueAttributes
		AWS::Scheduler::Schedule scheduler: CreateSchedule DeleteSchedule GetSchedule UpdateSchedule iam:
		  PassRole
		AWS::Scheduler::ScheduleGroup scheduler: CreateScheduleGroup DeleteScheduleGroup DeleteSchedule
		  GetScheduleGroup ListTagsForResource TagResource UntagResource
		AWS::SecretsManager::Secret secretsmanager: CreateSecret DeleteSecret UpdateSecret DescribeSecret
		  GetRandomPassword GetSecretValue TagResource UntagResource`,
	"../docs/execution-policy-endpoint.json": `
		AWS::CertificateManager::Certificate acm: RequestCertificate DeleteCertificate DescribeCertificate
		  AddTagsToCertificate ListTagsForCertificate RemoveTagsFromCertificate route53:
		  ChangeResourceRecordSets
		AWS::EC2::VPCEndpointService ec2: CreateVpcEndpointServiceConfiguration
		  DeleteVpcEndpointServiceConfigurations ModifyVpcEndpointServiceConfiguration
		  DescribeVpcEndpointServiceConfigurations DescribeVpcEndpointServicePermissions CreateTags
		  DeleteTags
		AWS::EC2::VPCEndpointServicePermissions ec2: ModifyVpcEndpointServicePermissions
		  DescribeVpcEndpointServicePermissions
		AWS::Route53::RecordSet route53: ChangeResourceRecordSets GetChange GetHostedZone
		  ListResourceRecordSets`,
	"../docs/execution-policy-monitoring.json": `
		AWS::CloudWatch::Alarm cloudwatch: PutMetricAlarm DeleteAlarms DescribeAlarms TagResource
		  ListTagsForResource UntagResource
		AWS::CloudWatch::Dashboard cloudwatch: PutDashboard GetDashboard DeleteDashboards TagResource
		  ListTagsForResource UntagResource
		AWS::Events::Rule events: PutRule PutTargets DeleteRule RemoveTargets DescribeRule
		  ListTargetsByRule TagResource ListTagsForResource UntagResource
		AWS::Logs::MetricFilter logs: PutMetricFilter DeleteMetricFilter DescribeMetricFilters
		AWS::Logs::QueryDefinition logs: PutQueryDefinition DeleteQueryDefinition DescribeQueryDefinitions
		AWS::SNS::Subscription sns: Subscribe Unsubscribe GetSubscriptionAttributes
		  SetSubscriptionAttributes ListSubscriptionsByTopic
		AWS::SNS::Topic sns: CreateTopic DeleteTopic GetTopicAttributes SetTopicAttributes Subscribe
		  Unsubscribe ListSubscriptionsByTopic GetDataProtectionPolicy PutDataProtectionPolicy TagResource
		  ListTagsForResource UntagResource
		AWS::SNS::TopicPolicy sns: SetTopicAttributes`,
}
