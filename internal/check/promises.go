package check

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"squidfleet/params"
)

// Promise is a property of every fleet that a document promises. It judges what an assembly
// says against the values of the parameters, calls none of the code that wrote the assembly,
// and tells one problem at most.
type Promise struct {
	Name               string // the rule of its findings
	Document, Sentence string // where it is promised
	judge              judge
}

// judge returns what is wrong with an assembly, or nil.
type judge func(*Assembly) *Finding

const (
	balancer = "AWS::ElasticLoadBalancingV2::LoadBalancer"
	targets  = "AWS::ElasticLoadBalancingV2::TargetGroup"
	listener = "AWS::ElasticLoadBalancingV2::Listener"
	service  = "AWS::ECS::Service"
	task     = "AWS::ECS::TaskDefinition"
	schedule = "AWS::Scheduler::Schedule"
	secret   = "AWS::SecretsManager::Secret"
	attr     = "TargetGroupAttributes."
	query    = "AWS::Logs::QueryDefinition"
	awsvpc   = "NetworkConfiguration.AwsvpcConfiguration."
	deploy   = "DeploymentConfiguration."
	box      = "ContainerDefinitions.0."
	logs     = box + "LogConfiguration."
)

// Promises are all, in the order of the way from a client to a destination, then of a task's
// life.
var Promises = []Promise{
	{"lookups", "docs/deploy.md", "keeps the answer in `cdk.context.json`", noPendingLookup},
	{"clients", "docs/security.md", "security group admits `clientCidrs` and `clientSecurityGroups`", clientsOnly},
	{"tasks", "docs/security.md", "Tasks accept connections from the load balancer's security group only", tasksOnly},
	{"egress", "docs/security.md", "all ports but 80, 443 and the parameters' (and 53 with `vpcId`)", egressPorts},
	{"port", "docs/parameters.md", "TCP port of the load balancer and of Squid", all(
		is(targets, "Port", port), is(task, box+"PortMappings.0.ContainerPort", port))},
	{"endpoint", "docs/parameters.md", "`internal`, with private addresses only", is(balancer, "Scheme", scheme)},
	{"tls", "docs/parameters.md", "with which the load balancer speaks TLS to clients, on all ports", encrypts},
	{"name", "docs/parameters.md", "name of the proxy; it gets an alias record", alias},
	{"private-link", "docs/parameters.md", "who may make PrivateLink endpoints that lead to the proxy", linked},
	{"addresses", "docs/parameters.md", "`listenerPort` + 1 always leads to address 1, and so on", leads},
	{"proxy-header", "docs/security.md", "puts a PROXY v2 header with the client's address before them",
		all(is(targets, attr+"proxy_protocol_v2.enabled", "true"),
			is(targets, attr+"preserve_client_ip.enabled", "false"))},
	{"zones", "docs/security.md", "Each client reaches every task, whichever zone it comes in by",
		all(is(balancer, "LoadBalancerAttributes.load_balancing.cross_zone.enabled", "true"),
			is(targets, attr+"load_balancing.cross_zone.enabled", "true"), sameZones)},
	{"subnets", "docs/security.md", "believes that header from the load balancer's subnets only", subnetsApart},
	{"routes", "docs/parameters.md", "has public subnets in two zones and nothing else", routed},
	{"squid-entry", "docs/security.md", "a header from anything but the load balancer", squidEntry},
	{"squid-access", "docs/security.md", "A request is served only if the client's address **and** the user",
		squidAccess},
	{"public-address", "README.md", "with a public address of its own",
		is(service, awsvpc+"AssignPublicIp", "ENABLED")},
	{"task-role", "docs/security.md", "have no task role", is(task, "TaskRoleArn", nil)},
	{"hardened", "docs/security.md", "run unprivileged on a read-only root without capabilities", all(
		matches(task, box+"User", `^[1-9]\d*:[1-9]\d*$`), is(task, box+"ReadonlyRootFilesystem", "true"),
		is(task, box+"LinuxParameters", map[string]any{"Capabilities": map[string]any{"Drop": []string{"ALL"}}}),
		is(task, "NetworkMode", "awsvpc"), none(task, "Volumes.", "0.EFSVolumeConfiguration", "1"),
		is(task, "ContainerDefinitions.1", nil), none(task, box, "Privileged", "Command", "EntryPoint", "ExtraHosts"),
		none(task, "", "PidMode", "IpcMode"), is(service, "EnableExecuteCommand", nil))},
	{"image-user", "docs/security.md", "the image has an unprivileged user of its own", imageUser},
	{"roles", "docs/security.md", "each role may do what it is there for", rolesReach},
	{"credentials", "docs/security.md", "No password is in a template, an image layer, a log or the assembly",
		noCredential},
	{"users", "docs/security.md", "each user's password comes from that user's secret", ownSecrets},
	{"types", "README.md", "There is no NAT gateway, no Lambda, no disk cache and no custom resource", knownTypes},
	{"names", "docs/parameters.md", "an account can hold several fleets", noNames},
	{"removal", "README.md", "`cdk destroy` removes all of it", goesWithTheStack},
	{"stopped", "docs/deploy.md", "A deployment leaves a stopped address stopped", is(service, "DesiredCount", nil)},
	{"capacity", "docs/design/rotation.md", "an address is never without a task in service", all(
		is(service, deploy+"MinimumHealthyPercent", "100"), is(service, deploy+"MaximumPercent", "200"),
		is(service, deploy+"DeploymentCircuitBreaker", map[string]string{"Enable": "true", "Rollback": "true"}))},
	{"drain", "docs/design/rotation.md", "`drainTimeout` for the last connection that it brings", all(
		is(targets, attr+"deregistration_delay.timeout_seconds", delay),
		is(targets, attr+"deregistration_delay.connection_termination.enabled", "true"))},
	{"rotation", "docs/parameters.md", "each address is replaced by a new one, the addresses one after the other",
		all(scheduled(false, rotations), onTime)},
	{"hours", "docs/parameters.md", "when the addresses run, in `timezone`", scheduled(true, hours)},
	{"architecture", "docs/parameters.md", "processor of the tasks", oneArchitecture},
	{"image", "docs/deploy.md", "The engine builds the image", imagePublished},
	{"stop", "docs/design/rotation.md", "the most that Fargate gives", is(task, box+"StopTimeout", "120")},
	{"health", "docs/design/image.md", "`entrypoint health` makes two requests through Squid", healthCommand},
	{"outputs", "docs/operate.md", "in the outputs of the stack", outputsTell},
	{"order", "docs/security.md", "A task starts when the load balancer can reach it", waits},
	{"unhealthy", "docs/operate.md", "its open connections go on", all(
		is(targets, attr+"target_health_state.unhealthy.connection_termination.enabled", "false"),
		is(targets, attr+"target_health_state.unhealthy.draining_interval_seconds", delay))},
	{"idle", "docs/parameters.md", "how long a connection may be silent before the load balancer forgets it", idles},
	{"alarms", "docs/operate.md", "what each alarm means and what to do", alarmed},
	{"tags", "docs/parameters.md", "tags of the stacks and of every resource that takes some", tagged},
}

// Broken returns the promises that the assembly breaks. One that waits for a lookup has nothing
// else to judge.
func (a *Assembly) Broken() (findings []Finding) {
	for _, p := range Promises {
		if found := p.judge(a); found != nil {
			found.Rule = p.Name
			findings = append(findings, *found)
		}
		if a.pending != "" {
			break
		}
	}
	return findings
}

// wrong is a finding about a resource.
func (r *resource) wrong(format string, arguments ...any) *Finding {
	return &Finding{File: r.file, Message: r.id + ": " + fmt.Sprintf(format, arguments...)}
}

// all returns the first problem of several judges.
func all(judges ...judge) judge {
	return func(a *Assembly) *Finding {
		for _, judge := range judges {
			if found := judge(a); found != nil {
				return found
			}
		}
		return nil
	}
}

// each judges each resource of a type. That there is one is another promise.
func each(kind string, judge func(*Assembly, *resource) *Finding) judge {
	return func(a *Assembly) *Finding {
		for _, r := range a.resources {
			if r.kind == kind || kind == "" {
				if found := judge(a, r); found != nil {
					return found
				}
			}
		}
		return nil
	}
}

// is wants a value at a path of each resource of a type: one that the parameters tell, or nil
// for none.
func is(kind, path string, want any) judge {
	return each(kind, func(a *Assembly, r *resource) *Finding {
		if value, ok := want.(func(*params.Params) any); ok {
			return is(kind, path, fmt.Sprint(value(a.Params)))(a)
		}
		if got := r.value(path); written(got) != written(want) {
			return r.wrong("%s: is %s, want %s", path, show(got), show(want))
		}
		return nil
	})
}

// none wants no value at any of the paths.
func none(kind, prefix string, names ...string) judge {
	var judges []judge
	for _, name := range names {
		judges = append(judges, is(kind, prefix+name, nil))
	}
	return all(judges...)
}

func matches(kind, path, pattern string) judge {
	return each(kind, func(_ *Assembly, r *resource) *Finding {
		if !regexp.MustCompile(pattern).MatchString(r.text(path)) {
			return r.wrong("%s: is %s, want %s", path, show(r.value(path)), pattern)
		}
		return nil
	})
}

func port(p *params.Params) any { return p.ListenerPort }

// delay is drainTimeout for the last connection too: the load balancer sends an old task new ones
// for two minutes more.
func delay(p *params.Params) any { return p.DrainTimeout.Seconds() + 120 }

// unlike says what one list has and another lacks, in whatever order they are.
func unlike(got, want []string) string {
	open := map[string]bool{} // of what is wanted, whether it is still to be found
	for _, w := range want {
		open[w] = true
	}
	for _, g := range got {
		if _, wanted := open[g]; !wanted {
			return fmt.Sprintf("has %s, want that left out", g)
		}
		open[g] = false
	}
	for _, w := range want {
		if open[w] {
			return fmt.Sprintf("lacks %s", w)
		}
	}
	return ""
}

func noPendingLookup(a *Assembly) *Finding {
	if a.pending == "" {
		return nil
	}
	return &Finding{File: "manifest.json", Message: "waits for " + a.pending + ": run cdk synth with credentials"}
}

// These are findings about the proxy stack's template, its asset manifest, and a file of the image.

func (a *Assembly) template(format string, arguments ...any) *Finding {
	return &Finding{File: a.file(a.Name), Message: fmt.Sprintf(format, arguments...)}
}

func (a *Assembly) inManifest(format string, arguments ...any) *Finding {
	return &Finding{File: a.Name + ".assets.json", Message: fmt.Sprintf(format, arguments...)}
}

func (a *Assembly) inImage(name, format string, arguments ...any) *Finding {
	return &Finding{File: a.ImageDirectory() + "/" + name, Message: fmt.Sprintf(format, arguments...)}
}

var types = append([]string{balancer, targets, listener, service, task, secret, schedule, query}, strings.Fields(`
	AWS::EC2::InternetGateway AWS::EC2::Route AWS::EC2::RouteTable AWS::EC2::SecurityGroup
	AWS::EC2::SecurityGroupIngress AWS::EC2::Subnet AWS::EC2::SubnetRouteTableAssociation AWS::EC2::VPC
	AWS::EC2::VPCCidrBlock AWS::EC2::VPCGatewayAttachment AWS::ECS::Cluster AWS::IAM::Role AWS::Logs::LogGroup
	AWS::SQS::Queue AWS::SQS::QueuePolicy AWS::Scheduler::ScheduleGroup AWS::CertificateManager::Certificate
	AWS::Route53::RecordSet AWS::EC2::VPCEndpointService AWS::EC2::VPCEndpointServicePermissions
	AWS::CloudWatch::Dashboard AWS::CloudWatch::Alarm AWS::Events::Rule AWS::Logs::MetricFilter
	AWS::SNS::Subscription AWS::SNS::Topic
	AWS::SNS::TopicPolicy`)...)

// knownTypes: a fleet has the first five of the types, and none beside them all.
func knownTypes(a *Assembly) *Finding {
	for _, kind := range types[:5] {
		if len(a.all(kind)) == 0 {
			return a.template("there is no %s", kind)
		}
	}
	return each("", func(_ *Assembly, r *resource) *Finding {
		if !slices.Contains(types, r.kind) {
			return r.wrong("is a %s, which no fleet has", r.kind)
		}
		return nil
	})(a)
}

// noNames: nothing has a name of its own, which one in an account can have. A reference is no
// name.
func noNames(a *Assembly) *Finding {
	for id, output := range a.outputs {
		if at(output, "Export") != nil {
			return a.template("Outputs.%s: is exported, want a value that no other stack holds on to", id)
		}
	}
	return each("", func(a *Assembly, r *resource) *Finding {
		properties, _ := r.properties.(map[string]any)
		for key, value := range properties {
			if r.kind == query && strings.HasPrefix(text(value), a.Params.StackName+"/") {
				continue
			}
			if value == a.Params.DomainName && (r.kind == record || r.kind == certificate) {
				continue
			}
			name := key == "Family" || strings.HasSuffix(key, "Name")
			if s, literal := value.(string); name && literal && a.referred(s).kind == "" {
				return r.wrong("%s: is %q, want it left out", key, s)
			}
		}
		return nil
	})(a)
}

func goesWithTheStack(a *Assembly) *Finding {
	if a.protected == true {
		return &Finding{File: "manifest.json", Message: a.Name + ": terminationProtection: is true, want false"}
	}
	return all(is(balancer, "LoadBalancerAttributes.deletion_protection.enabled", "false"),
		each("", func(_ *Assembly, r *resource) *Finding {
			for _, attribute := range []string{"DeletionPolicy", "UpdateReplacePolicy"} {
				if policy := at(r.whole, attribute); policy != nil && policy != "Delete" {
					return r.wrong("%s: is %s, want Delete", attribute, show(policy))
				}
			}
			return nil
		}))(a)
}

// outputsTell: people and the operator's command find what they need.
func outputsTell(a *Assembly) *Finding {
	want := map[string]string{"RotateEvery": params.FormatPeriod(a.Params.RotateEvery)}
	if want["Scheme"] = "http"; encrypted(a.Params) {
		want["Scheme"] = "https"
	}
	for _, r := range a.resources {
		switch r.kind {
		case balancer:
			host := a.Params.DomainName
			if host == "" {
				host = r.att("DNSName")
			}
			want["Endpoint"] = fmt.Sprintf("%s:%d", host, a.Params.ListenerPort)
		case service:
			want["ClusterName"] = r.text("Cluster")
		case task:
			want["LogGroup"] = r.text(logs + "Options.awslogs-group")
		case schedule:
			want["RotationFailures"] = a.referred(r.value("Target.DeadLetterConfig.Arn")).ref()
		}
	}
	for id, value := range want {
		if got := at(a.outputs, id+".Value"); got != value {
			return a.template("Outputs.%s: is %s, want %q", id, show(got), value)
		}
	}
	return nil
}

// waits: what a service needs and does not refer to is there before it.
func waits(a *Assembly) *Finding {
	if a.Params.VpcID == "" && !slices.Contains(texts(a.before), a.Params.StackName+"-Network") {
		return &Finding{File: "manifest.json", Message: a.Name + ": dependencies: lack the network's stack"}
	}
	return each(service, func(a *Assembly, r *resource) *Finding {
		ports := []string{fmt.Sprint(a.Params.ListenerPort), fmt.Sprint(a.Params.ListenerPort + r.number())}
		for _, other := range slices.Concat(a.all(listener), a.all("AWS::EC2::SecurityGroupIngress")) {
			if other.kind == listener && !slices.Contains(ports, other.text("Port")) {
				continue
			}
			if !slices.Contains(texts(at(r.whole, "DependsOn")), other.id) {
				return r.wrong("DependsOn: lacks %s, without which the load balancer does not reach a task", other.id)
			}
		}
		return nil
	})(a)
}

// tagged: what takes tags has those of the parameters, and no others but the CDK's and a service's
// number.
func tagged(a *Assembly) *Finding {
	without := strings.Fields(`AWS::EC2::Route AWS::EC2::SecurityGroupIngress AWS::EC2::SubnetRouteTableAssociation
		AWS::EC2::VPCCidrBlock AWS::EC2::VPCGatewayAttachment AWS::SQS::QueuePolicy AWS::Scheduler::Schedule
		AWS::Route53::RecordSet AWS::EC2::VPCEndpointServicePermissions AWS::Logs::QueryDefinition
		AWS::Logs::MetricFilter AWS::SNS::Subscription AWS::SNS::TopicPolicy`)
	return each("", func(a *Assembly, r *resource) *Finding {
		if slices.Contains(without, r.kind) {
			return nil
		}
		var got []string
		for key, value := range pairs(r.value("Tags")) {
			own := key == "Name" || strings.HasPrefix(key, "aws-cdk:") || r.kind == service && key == params.AddressTag
			if !own {
				got = append(got, key+"="+text(value))
			}
		}
		if d := unlike(got, a.Params.Tags); d != "" {
			return r.wrong("Tags: %s", d)
		}
		return nil
	})(a)
}
