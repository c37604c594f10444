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
	const deploy = "DeploymentConfiguration."
	return []Promise{
		{"task-role", "docs/security.md", "have no task role", a.none(task, "TaskRoleArn")},
		{"hardened", "docs/security.md", "run unprivileged on a read-only root without capabilities", cmp.Or(
			a.matches(task, box+"User", unprivileged), a.is(task, box+"ReadonlyRootFilesystem", "true"),
			a.is(task, box+"LinuxParameters", map[string]any{"Capabilities": map[string]any{"Drop": []string{"ALL"}}}),
			a.none(task, "ContainerDefinitions.1", box+"Privileged", box+"Command", box+"EntryPoint"),
			a.none(service, "EnableExecuteCommand"))},
		{"roles", "docs/security.md", "each role may do what it is there for", a.roles()},
		{"users", "docs/security.md", "each user's password comes from that user's secret", a.secrets()},
		{"stopped", "docs/deploy.md", "A deployment leaves a stopped address stopped",
			a.none(service, "DesiredCount")},
		{"capacity", "docs/design/rotation.md", "an address is never without a task in service", cmp.Or(
			a.is(service, deploy+"MinimumHealthyPercent", "100"), a.is(service, deploy+"MaximumPercent", "200"),
			a.is(service, deploy+"DeploymentCircuitBreaker", map[string]string{"Enable": "true", "Rollback": "true"}))},
		{"order", "docs/security.md", "A task starts when the load balancer can reach it", a.waits()},
		{"rotation", "docs/parameters.md", "each address is replaced by a new one, the addresses one after the other",
			cmp.Or(a.scheduled(), a.none(schedule, "State"), a.is(schedule, "FlexibleTimeWindow.Mode", "OFF"),
				a.matches(schedule, "Target.Arn", ":scheduler:::aws-sdk:ecs:updateService$"),
				a.is(schedule, "Target.DeadLetterConfig.Arn", a.one(queue).att("Arn")))},
		{"stop", "docs/design/rotation.md", "the most that Fargate gives", a.is(task, box+"StopTimeout", "120")},
		{"drain", "docs/design/rotation.md", "`drainTimeout` for the last connection that it brings", cmp.Or(
			a.is(targets, attribute+"deregistration_delay.timeout_seconds", delay),
			a.is(targets, attribute+"deregistration_delay.connection_termination.enabled", "true"))},
		{"unhealthy", "docs/operate.md", "its open connections go on", cmp.Or(
			a.is(targets, attribute+"target_health_state.unhealthy.connection_termination.enabled", "false"),
			a.is(targets, attribute+"target_health_state.unhealthy.draining_interval_seconds", delay))},
	}
}

// arn matches the beginning of an ARN, up to what it names. Partition, region and account are those
// of the template, which the golden templates of other partitions show.
var arn = regexp.MustCompile(
	`^arn:(⟨AWS::Partition⟩|aws[\w-]*):(\w+):(⟨AWS::Region⟩|[\w-]*):(⟨AWS::AccountId⟩|\d*):`)

// roles: a role trusts the one service that takes it on, and permits what that needs and nothing
// else.
func (a *Assembly) roles() *Finding {
	const trust = `trusts [{"Action":"sts:AssumeRole",%s"Effect":"Allow","Principal":{"Service":"%s.amazonaws.com"}}]`
	const condition = `"Condition":{"StringEquals":{"aws:SourceAccount":"%s","aws:SourceArn":"%s"}},`
	t, s := a.one(task), a.one(schedule)
	image, log := "ecr:repository/"+a.repository(), a.referred(t.text(logGroup)).att("Arn")
	execution := []string{fmt.Sprintf(trust, "", "ecs-tasks"), "ecr:GetAuthorizationToken *",
		"ecr:BatchCheckLayerAvailability " + image, "ecr:BatchGetImage " + image, "ecr:GetDownloadUrlForLayer " + image,
		"logs:CreateLogStream " + log, "logs:PutLogEvents " + log}
	for _, secret := range a.references(secret) {
		execution = append(execution, "secretsmanager:GetSecretValue "+secret)
	}
	own := fmt.Sprintf(condition, cmp.Or(a.account, "⟨AWS::AccountId⟩"), a.referred(s.text("GroupName")).att("Arn"))
	needs := map[string][]string{t.text("ExecutionRoleArn"): execution, s.text("Target.RoleArn"): {
		fmt.Sprintf(trust, own, "scheduler"), "sqs:SendMessage " + a.one(queue).att("Arn"),
		"ecs:UpdateService ecs:service/" + a.one(cluster).ref() + "/*"}}
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
					got = append(got, action+" "+arn.ReplaceAllString(on, "$2:"))
				}
			}
		}
		return unlike(got, needs[r.att("Arn")])
	}), a.none("AWS::IAM::Role", "ManagedPolicyArns"))
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
		groups := texts(r.values("LoadBalancers.*.TargetGroupArn"))
		for _, other := range slices.Concat(a.all(listener), a.all("AWS::EC2::SecurityGroupIngress")) {
			leads := slices.Contains(groups, other.text("DefaultActions.0.TargetGroupArn"))
			needed := other.kind != listener || leads && slices.Contains(a.ports(r), other.text("Port"))
			if needed && !slices.Contains(texts(r.values("DependsOn.*")), other.id) {
				return "DependsOn: lacks " + other.id + ", without which the load balancer does not reach a task"
			}
		}
		return ""
	})
}

// scheduled: each address has one schedule for everything that the parameters want of it, and no
// other.
func (a *Assembly) scheduled() *Finding {
	const rotation = `"ForceNewDeployment":true`
	p, times := a.Params, map[string]string{} // what times are like, by the setting
	if p.RotateEvery > 0 {
		times[rotation] = every(p.RotateEvery) + " in UTC"
	}
	if hours := p.ActiveHours; hours.Days != nil {
		next := 0
		if hours.Stop < hours.Start {
			next = 1 // day
		}
		times[`"DesiredCount":1`] = on(hours.Days, 0, hours.Start) + " in " + p.Timezone
		times[`"DesiredCount":0`] = on(hours.Days, next, hours.Stop) + " in " + p.Timezone
	}
	want := map[string]string{} // the same, by all that is said to ECS
	for _, s := range a.all(service) {
		for setting, like := range times {
			want[fmt.Sprintf(`{"Cluster":"%s",%s,"Service":"%s"}`, s.text("Cluster"), setting, s.ref())] = like
		}
	}
	together := map[string]int{} // rotations, by when
	found := a.each(schedule, func(r *resource) string {
		input, at := r.text("Target.Input"), r.text("ScheduleExpression")+" in "+r.text("ScheduleExpressionTimezone")
		like, wanted := want[input]
		if !wanted || !regexp.MustCompile("^"+like+"$").MatchString(at) {
			return fmt.Sprintf("does %s at %s, which no parameter says", input, at)
		}
		delete(want, input) // another one is too much
		if !strings.Contains(input, rotation) {
			return ""
		}
		// A minute has more than one rotation only if there are more addresses than minutes.
		if together[at]++; together[at] > 1+2*p.FleetSize/int(p.RotateEvery.Minutes()) {
			return fmt.Sprintf("ScheduleExpression: is %s, at which other addresses are replaced too", at)
		}
		return ""
	})
	for _, missing := range slices.Sorted(maps.Keys(want)) {
		found = cmp.Or(found, a.wrong("no schedule does %s", missing))
	}
	return found
}

// every returns a pattern of times that are so far apart.
func every(period time.Duration) string {
	switch hours := int(period.Hours()); {
	case hours < 1:
		return fmt.Sprintf(`cron\(\d+/%.0f \* \* \* \? \*\)`, period.Minutes())
	case hours < 24:
		return fmt.Sprintf(`cron\(\d+ \d+/%d \* \* \? \*\)`, hours)
	case hours == 24:
		return `cron\(\d+ \d+ \* \* \? \*\)`
	}
	return `cron\(\d+ \d+ \? \* [A-Z]{3} \*\)`
}

// on returns a pattern of a time on some days, or on the days that are so much later.
func on(days []time.Weekday, later int, clock time.Duration) string {
	var names []string
	for _, day := range days {
		names = append(names, strings.ToUpper(time.Weekday((int(day) + later) % 7).String()[:3]))
	}
	minute, hour := int(clock.Minutes())%60, int(clock.Hours())
	return fmt.Sprintf(`cron\(%d %d \? \* %s \*\)`, minute, hour, strings.Join(names, ","))
}
