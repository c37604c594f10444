// The stacks of the default fleet in TypeScript, for the benchmark of synth. The benchmark compares the templates'
// resources with those of ../../../../stacks. It gives the image's build context and the saved queries as context.
import * as cdk from 'aws-cdk-lib'
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch'
import * as ec2 from 'aws-cdk-lib/aws-ec2'
import * as assets from 'aws-cdk-lib/aws-ecr-assets'
import * as ecs from 'aws-cdk-lib/aws-ecs'
import * as elb from 'aws-cdk-lib/aws-elasticloadbalancingv2'
import * as iam from 'aws-cdk-lib/aws-iam'
import * as logs from 'aws-cdk-lib/aws-logs'
import * as scheduler from 'aws-cdk-lib/aws-scheduler'
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager'
import * as sqs from 'aws-cdk-lib/aws-sqs'
import { Construct } from 'constructs'

const port = 35201
const fleetSize = 2

const app = new cdk.App({ analyticsReporting: false })
const queries: { ID: string, Name: string, Text: string }[] = JSON.parse(app.node.getContext('bench:queries'))

// The network.
const network = new cdk.Stack(app, 'Squidfleet-Network', {
  description: 'Squidfleet: the network of a forward proxy',
})
const subnets = (name: string, cidrMask: number) =>
  ({ name, cidrMask, subnetType: ec2.SubnetType.PUBLIC, mapPublicIpOnLaunch: false })
const vpc = new ec2.Vpc(network, 'Vpc', {
  ipAddresses: ec2.IpAddresses.cidr('10.0.0.0/16'),
  natGateways: 0,
  maxAzs: 2,
  subnetConfiguration: [subnets('LoadBalancer', 28), subnets('Tasks', 18)],
  restrictDefaultSecurityGroup: false,
})
const block = new ec2.CfnVPCCidrBlock(network, 'Ipv6Block', { vpcId: vpc.vpcId, amazonProvidedIpv6CidrBlock: true })
const blocks = cdk.Fn.cidr(cdk.Fn.select(0, vpc.vpcIpv6CidrBlocks), 2, '64')
vpc.selectSubnets({ subnetGroupName: 'LoadBalancer' }).subnets.forEach((subnet, i) => {
  const cfn = subnet.node.defaultChild as ec2.CfnSubnet
  cfn.ipv6CidrBlock = cdk.Fn.select(i, blocks)
  cfn.addResourceDependency(block)
  const route = new ec2.CfnRoute(network, `Ipv6Route${i + 1}`, {
    routeTableId: subnet.routeTable.routeTableId,
    destinationIpv6CidrBlock: '::/0',
    gatewayId: vpc.internetGatewayId,
  })
  route.node.addDependency(subnet.internetConnectivityEstablished)
})

// Secrets, log and image.
const stack = new cdk.Stack(app, 'Squidfleet-Proxy', {
  description: 'Squidfleet: a forward proxy whose egress addresses rotate',
})
stack.addStackDependency(network)
const generated = (scope: Construct, id: string, description: string, passwordLength: number) =>
  new secretsmanager.Secret(scope, id, {
    description,
    generateSecretString: { passwordLength, excludePunctuation: true },
    removalPolicy: cdk.RemovalPolicy.DESTROY,
  })
const password = generated(new Construct(stack, 'Passwords'), 'Of-proxy', 'Password of the proxy user proxy', 32)
const digestKey = generated(stack, 'DigestKey', "Key of the nonces that the proxy's tasks hand out; " +
  'several keys, separated by spaces: the first signs, all are accepted', 64)
const log = new logs.CfnLogGroup(stack, 'Log', { retentionInDays: 30 })
log.applyRemovalPolicy(cdk.RemovalPolicy.DESTROY)
const image = new assets.DockerImageAsset(stack, 'Image', {
  directory: app.node.getContext('bench:image'),
  platform: assets.Platform.LINUX_AMD64,
})

// The firewall.
const rule = (description: string, fromPort: number, toPort = fromPort) =>
  ({ description, ipProtocol: 'tcp', fromPort, toPort })
const taskFirewall = new ec2.CfnSecurityGroup(stack, 'TaskFirewall', {
  groupDescription: 'Tasks of the proxy',
  vpcId: vpc.vpcId,
  securityGroupEgress: [80, 443].map(p => ({ ...rule('destinations of the proxy', p), cidrIp: '0.0.0.0/0' })),
})
const entryFirewall = new ec2.CfnSecurityGroup(stack, 'LoadBalancerFirewall', {
  groupDescription: 'Load balancer of the proxy',
  vpcId: vpc.vpcId,
  securityGroupIngress: [
    { ...rule('clientCidrs', port, port + fleetSize), cidrIp: '203.0.113.0/24' },
    { ...rule('path MTU discovery', 3, 4), ipProtocol: 'icmp', cidrIp: '0.0.0.0/0' },
  ],
  securityGroupEgress: [
    { ...rule('to the tasks, health checks included', port), destinationSecurityGroupId: taskFirewall.attrGroupId },
  ],
})
cdk.Validations.of(entryFirewall).acknowledge({
  id: 'CloudFormation-Validate::W3687',
  reason: 'FromPort and ToPort are the type and the code of ICMPv6',
})
const fromLoadBalancer = new ec2.CfnSecurityGroupIngress(stack, 'FromLoadBalancer', {
  ...rule('from the load balancer, health checks included', port),
  groupId: taskFirewall.attrGroupId,
  sourceSecurityGroupId: entryFirewall.attrGroupId,
})

// The load balancer.
const balancer = new elb.NetworkLoadBalancer(stack, 'LoadBalancer', {
  vpc,
  vpcSubnets: { subnetGroupName: 'LoadBalancer' },
  internetFacing: true,
  ipAddressType: elb.IpAddressType.IPV4,
  securityGroups: [ec2.SecurityGroup.fromSecurityGroupId(stack, 'EntryFirewall', entryFirewall.attrGroupId)],
  crossZoneEnabled: true,
})
const newEntry = (id: string, listenerPort: number) => {
  const targets = new elb.NetworkTargetGroup(stack, id, {
    vpc,
    port,
    protocol: elb.Protocol.TCP,
    targetType: elb.TargetType.IP,
    proxyProtocolV2: true,
    preserveClientIp: false,
    crossZoneEnabled: true,
    deregistrationDelay: cdk.Duration.seconds(240),
    connectionTermination: true,
    healthCheck: {
      protocol: elb.Protocol.TCP,
      interval: cdk.Duration.seconds(10),
      timeout: cdk.Duration.seconds(5),
      healthyThresholdCount: 2,
      unhealthyThresholdCount: 2,
    },
  })
  targets.setAttribute('target_health_state.unhealthy.connection_termination.enabled', 'false')
  targets.setAttribute('target_health_state.unhealthy.draining_interval_seconds', '240')
  const listener = new elb.NetworkListener(stack, `Listener${listenerPort}`, {
    loadBalancer: balancer,
    port: listenerPort,
    protocol: elb.Protocol.TCP,
    defaultTargetGroups: [targets],
    tcpIdleTimeout: cdk.Duration.seconds(350),
  })
  return { targets, listener }
}
const common = newEntry('Targets', port)

// The task.
const allow = (actions: string[], ...resources: string[]) => new iam.PolicyStatement({ actions, resources })
const policy = (...statements: iam.PolicyStatement[]) => new iam.PolicyDocument({ statements })
const executionRole = new iam.Role(stack, 'ExecutionRole', {
  description: 'ECS prepares the tasks of the proxy',
  assumedBy: new iam.ServicePrincipal('ecs-tasks.amazonaws.com'),
  inlinePolicies: {
    PullImage: policy(
      allow(['ecr:GetAuthorizationToken'], '*'),
      allow(['ecr:BatchCheckLayerAvailability', 'ecr:BatchGetImage', 'ecr:GetDownloadUrlForLayer'],
        image.repository.repositoryArn)),
    ReadSecrets: policy(allow(['secretsmanager:GetSecretValue'], password.secretArn, digestKey.secretArn)),
    WriteLog: policy(allow(['logs:CreateLogStream', 'logs:PutLogEvents'], log.attrArn)),
  },
})
const task = new ecs.CfnTaskDefinition(stack, 'Task', {
  requiresCompatibilities: ['FARGATE'],
  networkMode: 'awsvpc',
  cpu: '256',
  memory: '512',
  runtimePlatform: { operatingSystemFamily: 'LINUX', cpuArchitecture: 'X86_64' },
  executionRoleArn: executionRole.roleArn,
  volumes: [{ name: 'run' }],
  containerDefinitions: [{
    name: 'proxy',
    image: image.imageUri,
    essential: true,
    portMappings: [{ containerPort: port, protocol: 'tcp' }],
    environment: [
      { name: 'SQUIDFLEET_AUTH', value: 'digest' },
      { name: 'SQUIDFLEET_METRICS', value: 'Squidfleet' },
      { name: 'SQUIDFLEET_DIGEST', value: 'fleet' },
      { name: 'SQUIDFLEET_CREDENTIALS', value: 'secretsmanager' },
      { name: 'SQUIDFLEET_REALM', value: 'squidfleet' },
      { name: 'SQUIDFLEET_USERS', value: 'proxy' },
    ],
    secrets: [
      { name: 'SQUIDFLEET_PASSWORD_PROXY', valueFrom: password.secretArn },
      { name: 'SQUIDFLEET_DIGEST_KEYS', valueFrom: digestKey.secretArn },
    ],
    user: '10001:10001',
    readonlyRootFilesystem: true,
    mountPoints: [{ sourceVolume: 'run', containerPath: '/srv/squidfleet/run', readOnly: false }],
    linuxParameters: { capabilities: { drop: ['ALL'] } },
    ulimits: [{ name: 'nofile', softLimit: 65535, hardLimit: 65535 }],
    stopTimeout: 120,
    healthCheck: {
      command: ['CMD', '/srv/squidfleet/entrypoint', 'health'], interval: 10, timeout: 5, retries: 3, startPeriod: 15,
    },
    logConfiguration: {
      logDriver: 'awslogs',
      options: {
        'awslogs-group': log.ref,
        'awslogs-region': stack.region,
        'awslogs-stream-prefix': 'proxy',
        'mode': 'non-blocking',
        'max-buffer-size': '10m',
      },
    },
  }],
})

// The addresses.
const cluster = new ecs.CfnCluster(stack, 'Cluster', {
  capacityProviders: ['FARGATE', 'FARGATE_SPOT'],
  clusterSettings: [{ name: 'containerInsights', value: 'disabled' }],
})
const services: ecs.CfnService[] = []
for (let number = 1; number <= fleetSize; number++) {
  const entries = [common, newEntry(`Targets${number}`, port + number)]
  const service = new ecs.CfnService(stack, `Service${number}`, {
    cluster: cluster.ref,
    taskDefinition: task.ref,
    capacityProviderStrategy: [{ capacityProvider: 'FARGATE', weight: 1 }],
    platformVersion: '1.4.0',
    networkConfiguration: {
      awsvpcConfiguration: {
        assignPublicIp: 'ENABLED',
        securityGroups: [taskFirewall.attrGroupId],
        subnets: vpc.selectSubnets({ subnetGroupName: 'Tasks' }).subnetIds,
      },
    },
    loadBalancers: entries.map(e =>
      ({ targetGroupArn: e.targets.targetGroupArn, containerName: 'proxy', containerPort: port })),
    deploymentConfiguration: {
      minimumHealthyPercent: 100,
      maximumPercent: 200,
      deploymentCircuitBreaker: { enable: true, rollback: true },
    },
    healthCheckGracePeriodSeconds: 60,
    availabilityZoneRebalancing: 'DISABLED',
    enableEcsManagedTags: true,
    propagateTags: 'SERVICE',
    tags: [{ key: 'squidfleet:address', value: `${number}` }],
  })
  service.node.addDependency(fromLoadBalancer, ...entries.map(e => e.listener))
  services.push(service)
}

// The schedules.
const failures = new sqs.Queue(stack, 'FailedRotations', {
  encryption: sqs.QueueEncryption.SQS_MANAGED,
  enforceSSL: true,
  retentionPeriod: cdk.Duration.days(14),
  removalPolicy: cdk.RemovalPolicy.DESTROY,
})
const group = new scheduler.CfnScheduleGroup(stack, 'RotationGroup')
const rotationRole = new iam.Role(stack, 'RotationRole', {
  description: 'EventBridge Scheduler rotates, starts and stops the tasks of the proxy',
  assumedBy: new iam.ServicePrincipal('scheduler.amazonaws.com', {
    conditions: { StringEquals: { 'aws:SourceAccount': stack.account, 'aws:SourceArn': group.attrArn } },
  }),
  inlinePolicies: {
    ReportFailures: policy(allow(['sqs:SendMessage'], failures.queueArn)),
    Rotate: policy(allow(['ecs:UpdateService'],
      stack.formatArn({ service: 'ecs', resource: 'service', resourceName: `${cluster.ref}/*` }))),
  },
})
services.forEach((service, i) => new scheduler.CfnSchedule(stack, `Rotation${i + 1}`, {
  description: `Replaces egress address ${i + 1} of the proxy`,
  groupName: group.ref,
  scheduleExpression: `cron(${i * 60 / fleetSize} 0/1 * * ? *)`,
  scheduleExpressionTimezone: 'UTC',
  flexibleTimeWindow: { mode: 'OFF' },
  target: {
    arn: `arn:${stack.partition}:scheduler:::aws-sdk:ecs:updateService`,
    roleArn: rotationRole.roleArn,
    input: stack.toJsonString({ Cluster: cluster.ref, ForceNewDeployment: true, Service: service.ref }),
    retryPolicy: { maximumRetryAttempts: 5, maximumEventAgeInSeconds: 2940 },
    deadLetterConfig: { arn: failures.queueArn },
  },
}))

// What people look at.
for (const q of queries) {
  new logs.CfnQueryDefinition(stack, q.ID, {
    name: `Squidfleet/${q.Name}`, queryString: q.Text, logGroupNames: [log.ref],
  })
}
type Line = [namespace: string, name: string, stat: string, ...dimensions: string[]]
const ofBalancer = (name: string, stat: string): Line =>
  ['AWS/NetworkELB', name, stat, 'LoadBalancer', balancer.loadBalancerFullName]
const ofTargets = (name: string, stat: string): Line =>
  [...ofBalancer(name, stat), 'TargetGroup', common.targets.targetGroupFullName]
const ofTasks = (stat: string): Line => ['Squidfleet', 'AnswerTime', stat, 'Fleet', 'Squidfleet']
const lines = (...all: Line[]) => ({
  metrics: all.map(([namespace, name, stat, ...dimensions]) =>
    [namespace, name, ...dimensions, { label: `${name} ${stat}`, period: 300, stat }]),
})
const search = (metric: string) => ({
  metrics: [[{
    expression: "SEARCH('{AWS/ECS,ClusterName,ServiceName} " +
      `ClusterName="${cluster.ref}" MetricName="${metric}"', 'Average', 300)`,
  }]],
})
const query = (id: string) => ({ query: `SOURCE '${log.ref}' | ${queries.find(q => q.ID === id)!.Text}` })
const widgets: [title: string, content: { metrics?: unknown, query?: string }][] = [
  ['Connections', lines(ofBalancer('ActiveFlowCount', 'Average'), ofBalancer('NewFlowCount', 'Sum'))],
  ['Bytes', lines(ofBalancer('ProcessedBytes', 'Sum'))],
  ['Addresses', lines(ofTargets('HealthyHostCount', 'Minimum'), ofTargets('UnHealthyHostCount', 'Maximum'))],
  ['CPU, percent of each task', search('CPUUtilization')],
  ['Memory, percent of each task', search('MemoryUtilization')],
  ['Requests by status', query('RequestsByStatus')],
  ['Milliseconds to answer', lines(ofTasks('p50'), ofTasks('p90'), ofTasks('p99'))],
  ['Rotations that failed', lines(
    ['AWS/SQS', 'ApproximateNumberOfMessagesVisible', 'Maximum', 'QueueName', failures.queueName])],
  ['Top users', query('TopUsers')],
  ['Top destinations', query('TopDestinations')],
  ['Failures by destination', query('FailuresByDestination')],
]
new cloudwatch.CfnDashboard(stack, 'Dashboard', {
  dashboardBody: stack.toJsonString({
    widgets: widgets.map(([title, content], i) => ({
      height: 6,
      properties: { ...content, region: stack.region, title, view: content.query ? 'table' : 'timeSeries' },
      type: content.query ? 'log' : 'metric',
      width: 8,
      x: i % 3 * 8,
      y: Math.floor(i / 3) * 6,
    })),
  }),
})
const output = (id: string, description: string, value: string) =>
  new cdk.CfnOutput(stack, id, { description, value })
const address = `${balancer.loadBalancerDnsName}:${port}`
output('Endpoint', 'Host and port of the proxy; the port leads to any egress address', address)
output('Scheme', "Scheme of the proxy's URL: https where clients speak TLS to it", 'http')
output('TryIt', 'Asks for the password and shows an egress address',
  `curl --proxy http://${address} --proxy-digest --proxy-user proxy https://checkip.amazonaws.com`)
output('PasswordOfproxy', 'Shows the password of the user proxy',
  `aws secretsmanager get-secret-value --region ${stack.region} --secret-id ${password.secretArn} ` +
  '--query SecretString --output text')
output('LogGroup', 'Log group of the tasks', log.ref)
output('FollowLog', 'Shows the log as it is written', `aws logs tail --region ${stack.region} --follow ${log.ref}`)
output('ClusterName', 'ECS cluster of the fleet', cluster.ref)
output('RotateEvery', 'How often each egress address is replaced', '1h')
output('RotationFailures', 'Queue of the rotations, starts and stops that failed; empty when all is well',
  failures.queueUrl)
