package check

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// taskPromises are about what a task may do, and how it starts and stops.
func (a *Assembly) taskPromises() []Promise {
	// The load balancer sends an old task new connections for two minutes. The last one has
	// drainTimeout too.
	delay := fmt.Sprint(a.Params.DrainTimeout.Seconds() + 120)
	partition, _, _ := a.here()
	const deploy = "DeploymentConfiguration."
	return []Promise{
		{"task-role", "docs/security.md", "have no task role", a.is(task, "TaskRoleArn", nil)},
		{"hardened", "docs/security.md", "run unprivileged on a read-only root without capabilities", cmp.Or(
			a.matches(task, box+"User", `^[1-9]\d*:[1-9]\d*$`),
			a.is(task, box+"ReadonlyRootFilesystem", "true"),
			a.is(task, box+"LinuxParameters", map[string]any{"Capabilities": map[string]any{"Drop": []string{"ALL"}}}),
			a.is(task, "NetworkMode", "awsvpc"), a.none(task, "ContainerDefinitions.1", "Volumes.1",
				"Volumes.0.EFSVolumeConfiguration", box+"Privileged", box+"Command", box+"EntryPoint",
				box+"ExtraHosts", "PidMode", "IpcMode"),
			a.is(service, "EnableExecuteCommand", nil))},
		{"roles", "docs/security.md", "each role may do what it is there for", a.roles()},
		{"users", "docs/security.md", "each user's password comes from that user's secret", a.secrets()},
		{"stopped", "docs/deploy.md", "A deployment leaves a stopped address stopped",
			a.is(service, "DesiredCount", nil)},
		{"capacity", "docs/design/rotation.md", "an address is never without a task in service", cmp.Or(
			a.is(service, deploy+"MinimumHealthyPercent", "100"), a.is(service, deploy+"MaximumPercent", "200"),
			a.is(service, deploy+"DeploymentCircuitBreaker", map[string]string{"Enable": "true", "Rollback": "true"}))},
		{"order", "docs/security.md", "A task starts when the load balancer can reach it", a.waits()},
		{"rotation", "docs/parameters.md", "each address is replaced by a new one, the addresses one after the other",
			cmp.Or(a.scheduled(true, a.rotations),
				a.is(schedule, "Target.Arn", "arn:"+partition+":scheduler:::aws-sdk:ecs:updateService"),
				a.is(schedule, "Target.DeadLetterConfig.Arn", a.one(queue).att("Arn")),
				a.none(schedule, "State"), a.is(schedule, "FlexibleTimeWindow.Mode", "OFF"))},
		{"hours", "docs/parameters.md", "when the addresses run, in `timezone`", a.scheduled(false, a.hours)},
		{"stop", "docs/design/rotation.md", "the most that Fargate gives", a.is(task, box+"StopTimeout", "120")},
		{"drain", "docs/design/rotation.md", "`drainTimeout` for the last connection that it brings", cmp.Or(
			a.is(targets, attribute+"deregistration_delay.timeout_seconds", delay),
			a.is(targets, attribute+"deregistration_delay.connection_termination.enabled", "true"))},
		{"unhealthy", "docs/operate.md", "its open connections go on", cmp.Or(
			a.is(targets, attribute+"target_health_state.unhealthy.connection_termination.enabled", "false"),
			a.is(targets, attribute+"target_health_state.unhealthy.draining_interval_seconds", delay))},
		{"idle", "docs/parameters.md", "how long a connection may be silent before the load balancer forgets it",
			a.idle()},
	}
}

// here returns the words of an ARN that say where the fleet goes.
func (a *Assembly) here() (partition, region, account string) {
	partition, region, account = "aws", a.region, cmp.Or(a.account, "⟨AWS::AccountId⟩")
	switch {
	case region == "":
		partition, region = "⟨AWS::Partition⟩", "⟨AWS::Region⟩"
	case strings.HasPrefix(region, "cn-"):
		partition = "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		partition = "aws-us-gov"
	}
	return partition, region, account
}

// roles: a role trusts the one service that takes it on, and permits what that needs and nothing
// else.
func (a *Assembly) roles() *Finding {
	const trust = `trusts [{"Action":"sts:AssumeRole",%s"Effect":"Allow","Principal":{"Service":"%s.amazonaws.com"}}]`
	const condition = `"Condition":{"StringEquals":{"aws:SourceAccount":"%s","aws:SourceArn":"%s"}},`
	t, s := a.one(task), a.one(schedule)
	partition, region, account := a.here()
	arn := fmt.Sprintf("arn:%s:%%s:%s:%s:%%s", partition, region, account)
	image, log := fmt.Sprintf(arn, "ecr", "repository/"+a.repository()), a.referred(t.text(logGroup)).att("Arn")
	execution := []string{fmt.Sprintf(trust, "", "ecs-tasks"), "ecr:GetAuthorizationToken *",
		"ecr:BatchCheckLayerAvailability " + image, "ecr:BatchGetImage " + image, "ecr:GetDownloadUrlForLayer " + image,
		"logs:CreateLogStream " + log, "logs:PutLogEvents " + log}
	for _, secret := range a.all(secret) {
		execution = append(execution, "secretsmanager:GetSecretValue "+secret.ref())
	}
	own := fmt.Sprintf(condition, account, a.referred(s.text("GroupName")).att("Arn"))
	needs := map[string][]string{t.text("ExecutionRoleArn"): execution, s.text("Target.RoleArn"): {
		fmt.Sprintf(trust, own, "scheduler"), "sqs:SendMessage " + a.one(queue).att("Arn"),
		"ecs:UpdateService " + fmt.Sprintf(arn, "ecs", "service/"+a.one(cluster).ref()+"/*")}}
	return cmp.Or(a.each("AWS::IAM::Role", func(r *resource) string {
		got := []string{"trusts " + written(r.value("AssumeRolePolicyDocument.Statement"))}
		for _, s := range r.values("Policies.*.PolicyDocument.Statement.*") {
			tree, _ := s.(map[string]any)
			if len(tree) != 3 || tree["Effect"] != "Allow" || tree["Action"] == nil || tree["Resource"] == nil {
				got = append(got, show(s))
				continue
			}
			for _, action := range texts(values(s, "Action.*")) {
				for _, on := range texts(values(s, "Resource.*")) {
					got = append(got, action+" "+on)
				}
			}
		}
		return unlike(got, needs[r.att("Arn")])
	}), a.none("AWS::IAM::Role", "ManagedPolicyArns"),
		a.is("AWS::SQS::QueuePolicy", "PolicyDocument.Statement.*.Effect", "Deny"))
}

// secrets: what is handed over as a user's password is described as that user's, and the nonces'
// key is nobody's.
func (a *Assembly) secrets() (found *Finding) {
	p, of := a.Params, map[string]string{} // secrets, by the user in the description
	for _, s := range a.all(secret) {
		_, user, _ := strings.Cut(s.text("Description"), " user ")
		of[user] = s.ref()
	}
	for _, user := range p.Users {
		variable := regexp.MustCompile(`[^A-Z0-9]`).ReplaceAllString(strings.ToUpper(user), "_")
		if p.Credentials != "image" {
			found = cmp.Or(found, a.is(task, box+"Secrets.SQUIDFLEET_PASSWORD_"+variable, of[user]))
		}
	}
	if p.Auth.Nonces(p.Digest) {
		found = cmp.Or(found, a.is(task, box+"Secrets.SQUIDFLEET_DIGEST_KEYS", of[""]))
	}
	return found
}

// waits: what a service needs and does not refer to is there before it.
func (a *Assembly) waits() *Finding {
	if network := a.Params.StackName + "-Network"; a.Params.VpcID == "" &&
		!slices.Contains(texts(a.proxy().values("dependencies.*")), network) {
		return &Finding{File: "manifest.json", Message: a.name + ": dependencies: lack " + network}
	}
	return a.each(service, func(r *resource) string {
		ports := []string{fmt.Sprint(a.Params.ListenerPort), fmt.Sprint(a.Params.ListenerPort + r.number())}
		for _, other := range slices.Concat(a.all(listener), a.all("AWS::EC2::SecurityGroupIngress")) {
			needed := other.kind != listener || slices.Contains(ports, other.text("Port"))
			if needed && !slices.Contains(texts(r.values("DependsOn.*")), other.id) {
				return "DependsOn: lacks " + other.id + ", without which the load balancer does not reach a task"
			}
		}
		return ""
	})
}

// update is what a schedule does to an address.
type update struct {
	times, zone, setting string
	latest               time.Duration // after which it would meet the next update
}

// scheduled: the schedules that deploy an address anew, or all others, are those that the
// parameters want of each address.
func (a *Assembly) scheduled(anew bool, of func(address int) []update) *Finding {
	want := map[string]time.Duration{}
	for _, s := range a.all(service) {
		for _, u := range of(s.number()) {
			want[fmt.Sprintf(`%s in %s: {"Cluster":"%s",%s,"Service":"%s"}`,
				u.times, u.zone, s.text("Cluster"), u.setting, s.ref())] = u.latest
		}
	}
	found := a.each(schedule, func(r *resource) string {
		input := r.text("Target.Input")
		if anew != strings.Contains(input, `"ForceNewDeployment"`) {
			return ""
		}
		does := r.text("ScheduleExpression") + " in " + r.text("ScheduleExpressionTimezone") + ": " + input
		latest, wanted := want[does]
		if !wanted {
			return "does what no parameter says: " + does
		}
		delete(want, does) // another one is too much
		age := time.Duration(number(r.value("Target.RetryPolicy.MaximumEventAgeInSeconds"))) * time.Second
		if age <= 0 || age > latest {
			return fmt.Sprintf("Target.RetryPolicy: tries for %s, and the next update comes after %s", age, latest)
		}
		return ""
	})
	for _, missing := range slices.Sorted(maps.Keys(want)) {
		found = cmp.Or(found, a.wrong("no schedule does %s", missing))
	}
	return found
}

// rotations: an address is deployed anew each rotateEvery, at an offset of its own: half a period,
// a quarter, an eighth and so on, one for each bit of its number. It is over before the next time:
// tasks take five minutes to start and two to stop, and the load balancer two to notice.
func (a *Assembly) rotations(address int) []update {
	every := a.Params.RotateEvery
	offset, part := time.Duration(0), every
	for bits := address - 1; bits > 0; bits /= 2 {
		if part /= 2; bits%2 == 1 {
			offset += part
		}
	}
	minute, hour, days := fmt.Sprint(int(offset.Minutes())%60), fmt.Sprint(int(offset.Hours())%24), "* * ?"
	switch {
	case every == 0:
		return nil
	case every < time.Hour:
		minute, hour = fmt.Sprintf("%s/%.0f", minute, every.Minutes()), "*"
	case every < 24*time.Hour:
		hour = fmt.Sprintf("%s/%.0f", hour, every.Hours())
	case every > 24*time.Hour:
		days = "? * " + weekday(int(offset.Hours())/24+1) // from Monday on
	}
	latest := every - a.Params.DrainTimeout - 9*time.Minute
	return []update{{fmt.Sprintf("cron(%s %s %s *)", minute, hour, days), "UTC", `"ForceNewDeployment":true`, latest}}
}

// weekday writes a day, counted from Sunday.
func weekday(day int) string { return strings.ToUpper(time.Weekday(day % 7).String()[:3]) }

// hours: an address starts when activeHours begin and stops when they end, on the next day if that
// is earlier.
func (a *Assembly) hours(int) []update {
	h, next := a.Params.ActiveHours, 0
	length := h.Stop - h.Start
	if length < 0 {
		length, next = length+24*time.Hour, 1
	}
	at := func(clock time.Duration, later, tasks int) update {
		var days []string
		for _, day := range h.Days {
			days = append(days, weekday(int(day)+later))
		}
		minute, hour := int(clock.Minutes())%60, int(clock.Hours())
		times := fmt.Sprintf("cron(%d %d ? * %s *)", minute, hour, strings.Join(days, ","))
		setting := fmt.Sprintf(`"DesiredCount":%d`, tasks)
		return update{times, a.Params.Timezone, setting, min(length, 24*time.Hour-length)}
	}
	if h.Days == nil {
		return nil
	}
	return []update{at(h.Start, 0, 1), at(h.Stop, next, 0)}
}

// idle: the load balancer forgets a silent connection after idleTimeout, and Squid ends it earlier.
func (a *Assembly) idle() (found *Finding) {
	seconds := int(a.Params.IdleTimeout.Seconds())
	for _, name := range []string{"read_timeout", "write_timeout"} {
		limit := a.one(conf).text(name + ".0")
		if n := number(strings.TrimSuffix(limit, " seconds")); n < 1 || n >= seconds {
			found = a.one(conf).wrong("%s: is %q, want less than %d seconds", name, limit, seconds)
		}
	}
	if a.encrypted() { // A TLS listener has a timeout of its own.
		return found
	}
	return cmp.Or(found, a.is(listener, "ListenerAttributes.tcp.idle_timeout.seconds", fmt.Sprint(seconds)))
}
