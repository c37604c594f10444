package check

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// rolesReach compares what each role permits, and whom it trusts, with what its user needs.
func rolesReach(a *Assembly) *Finding {
	type need struct {
		trust  string
		grants []string // action and resource; one that ends in a repository's name has any beginning
	}
	needs := map[string]need{}
	for _, t := range a.all(task) {
		log := a.referred(t.value(logs + "Options.awslogs-group")).att("Arn")
		grants := []string{"ecr:GetAuthorizationToken *", "logs:CreateLogStream " + log, "logs:PutLogEvents " + log}
		for _, action := range []string{"BatchCheckLayerAvailability", "BatchGetImage", "GetDownloadUrlForLayer"} {
			grants = append(grants, "ecr:"+action+" "+a.repository())
		}
		for _, s := range a.all(secret) {
			grants = append(grants, "secretsmanager:GetSecretValue "+s.ref())
		}
		const trust = `{"Action":"sts:AssumeRole","Effect":"Allow","Principal":{"Service":"ecs-tasks.amazonaws.com"}}`
		needs[a.referred(t.value("ExecutionRoleArn")).id] = need{trust, grants}
	}
	for _, s := range a.all(schedule) {
		grants := []string{"sqs:SendMessage " + s.text("Target.DeadLetterConfig.Arn")}
		for _, r := range a.all(service) {
			grants = append(grants, "ecs:UpdateService "+r.ref())
		}
		const trust = `{"Action":"sts:AssumeRole","Condition":{"StringEquals":{"aws:SourceAccount":"%s",` +
			`"aws:SourceArn":"%s"}},"Effect":"Allow","Principal":{"Service":"scheduler.amazonaws.com"}}`
		account, group := cmp.Or(a.account, "⟨AWS::AccountId⟩"), a.referred(s.value("GroupName")).att("Arn")
		needs[a.referred(s.value("Target.RoleArn")).id] = need{fmt.Sprintf(trust, account, group), grants}
	}
	roles := each("AWS::IAM::Role", func(a *Assembly, r *resource) *Finding {
		got, want := written(r.list("AssumeRolePolicyDocument.Statement")), "["+needs[r.id].trust+"]"
		if got != want {
			return r.wrong("AssumeRolePolicyDocument: trusts %s, want %s", got, want)
		}
		var grants []string
		for _, policy := range r.list("Policies") {
			for _, s := range list(at(policy, "PolicyDocument.Statement")) {
				tree, _ := s.(map[string]any)
				if len(tree) != 3 || tree["Effect"] != "Allow" || tree["Resource"] == nil {
					return r.wrong("Policies: hold %s, want an action that is allowed on a resource", show(s))
				}
				for _, action := range texts(at(s, "Action")) {
					for _, on := range texts(at(s, "Resource")) {
						if strings.HasSuffix(on, a.repository()) {
							on = a.repository()
						}
						grants = append(grants, action+" "+on)
					}
				}
			}
		}
		if d := unlike(grants, needs[r.id].grants); d != "" {
			return r.wrong("Policies: %s", d)
		}
		return nil
	})
	queues := each("AWS::SQS::QueuePolicy", func(_ *Assembly, r *resource) *Finding {
		for _, s := range r.list("PolicyDocument.Statement") {
			if at(s, "Effect") != "Deny" {
				return r.wrong("PolicyDocument: permits %s, want a policy that denies", show(s))
			}
		}
		return nil
	})
	return all(none("AWS::IAM::Role", "", "ManagedPolicyArns"), roles, queues)(a)
}

// repository is the end of the ARN of the one that the image is pushed to.
func (a *Assembly) repository() string {
	for _, to := range a.images[0].Destinations {
		return ":repository/" + sub(to.RepositoryName)
	}
	return "(none)"
}

// ownSecrets: what is handed over as a user's password is described as that user's, and the
// nonces' key is nobody's.
func ownSecrets(a *Assembly) *Finding {
	described := map[any]string{}
	for _, s := range a.all(secret) {
		described[s.ref()] = s.text("Description")
	}
	return each(task, func(a *Assembly, r *resource) *Finding {
		secrets, wanted := pairs(r.value(box+"Secrets")), 0
		for _, user := range a.Params.Users {
			if a.Params.Credentials == "image" {
				break
			}
			wanted++
			plain := regexp.MustCompile(`[^A-Z0-9]`).ReplaceAllString(strings.ToUpper(user), "_")
			variable := "SQUIDFLEET_PASSWORD_" + plain
			if got := described[secrets[variable]]; !strings.HasSuffix(got, " user "+user) {
				return r.wrong("Secrets: %s is the secret %q, want that of user %s", variable, got, user)
			}
		}
		if a.Params.Digest == "fleet" {
			wanted++
			if got := described[secrets["SQUIDFLEET_DIGEST_KEYS"]]; got == "" || strings.Contains(got, " user ") {
				return r.wrong("Secrets: SQUIDFLEET_DIGEST_KEYS is the secret %q, want one that is no password", got)
			}
		}
		if len(secrets) != wanted || len(described) != wanted {
			return r.wrong("Secrets: %d are handed over and %d are made, want %d", len(secrets), len(described), wanted)
		}
		return nil
	})(a)
}

func rightNumber(a *Assembly) *Finding {
	tasks := 0
	for _, r := range a.all(service) {
		tasks += number(r.value("DesiredCount"))
	}
	if tasks != a.Params.FleetSize {
		return a.template("DesiredCount: there are %d tasks in all, want %d", tasks, a.Params.FleetSize)
	}
	return nil
}

// rotates: every rotateEvery the schedule has ECS deploy each service anew, and is done with
// that before the next time.
func rotates(a *Assembly) *Finding {
	every, schedules := a.Params.RotateEvery, len(a.all(schedule))
	if (every == 0) != (schedules == 0) {
		return a.template("there are %d schedules, and rotateEvery is %s", schedules, every)
	}
	return all(is(schedule, "Target.Arn", "arn:"+a.partition()+":scheduler:::aws-sdk:ecs:updateService"),
		is(schedule, "State", nil), is(schedule, "ScheduleExpression", times(every)),
		is(schedule, "ScheduleExpressionTimezone", "UTC"),
		is(schedule, "FlexibleTimeWindow.Mode", "OFF"),
		each(schedule, func(a *Assembly, r *resource) *Finding {
			if queue := r.value("Target.DeadLetterConfig.Arn"); a.referred(queue).kind != "AWS::SQS::Queue" {
				return r.wrong("Target.DeadLetterConfig: is %s, want a queue of the fleet's", show(queue))
			}
			for _, s := range a.all(service) {
				const input = `{"Cluster":"%s","ForceNewDeployment":true,"Service":"%s"}`
				want := fmt.Sprintf(input, s.text("Cluster"), s.ref())
				if got := r.text("Target.Input"); got != want {
					return r.wrong("Target.Input: is %s, want %s", got, want)
				}
			}
			// Tasks take five minutes to start and two to stop, and the load balancer two to notice.
			age := time.Duration(number(r.value("Target.RetryPolicy.MaximumEventAgeInSeconds"))) * time.Second
			if age <= 0 || age+a.Params.DrainTimeout+9*time.Minute > every {
				return r.wrong("Target.RetryPolicy: a rotation that is begun %s late is not over before the next", age)
			}
			return nil
		}))(a)
}

// times are the fixed times of a period, as EventBridge Scheduler writes them.
func times(every time.Duration) string {
	switch {
	case every < time.Hour:
		return fmt.Sprintf("cron(0/%.0f * * * ? *)", every.Minutes())
	case every < 24*time.Hour:
		return fmt.Sprintf("cron(0 0/%.0f * * ? *)", every.Hours())
	case every < 7*24*time.Hour:
		return "cron(0 0 * * ? *)"
	}
	return "cron(0 0 ? * MON *)"
}

// partition is the second word of every ARN where the fleet goes.
func (a *Assembly) partition() string {
	switch {
	case a.region == "":
		return "⟨AWS::Partition⟩"
	case strings.HasPrefix(a.region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(a.region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}

// idles: the load balancer forgets a silent connection after idleTimeout, and Squid ends it
// earlier.
func idles(a *Assembly) *Finding {
	seconds := a.Params.IdleTimeout.Seconds()
	for _, line := range a.conf {
		if line[0] == "read_timeout" || line[0] == "write_timeout" {
			if limit := float64(number(line[1])); limit < 1 || limit >= seconds {
				return a.inImage("squid.conf", "%s: is %s, want less than %g seconds", line[0], line[1], seconds)
			}
		}
	}
	return is(listener, "ListenerAttributes.tcp.idle_timeout.seconds", fmt.Sprint(seconds))(a)
}
