package check

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"squidfleet/params"
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
		account, region := cmp.Or(a.account, "⟨AWS::AccountId⟩"), cmp.Or(a.region, "⟨AWS::Region⟩")
		grants := []string{"sqs:SendMessage " + s.text("Target.DeadLetterConfig.Arn")}
		for _, cluster := range a.all("AWS::ECS::Cluster") {
			services := fmt.Sprintf("arn:%s:ecs:%s:%s:service/%s/*", a.partition(), region, account, cluster.ref())
			grants = append(grants, "ecs:UpdateService "+services)
		}
		const trust = `{"Action":"sts:AssumeRole","Condition":{"StringEquals":{"aws:SourceAccount":"%s",` +
			`"aws:SourceArn":"%s"}},"Effect":"Allow","Principal":{"Service":"scheduler.amazonaws.com"}}`
		group := a.referred(s.value("GroupName")).att("Arn")
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
		if a.Params.Auth.Nonces(a.Params.Digest) {
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

// update is what a schedule does to an address.
type update struct {
	times, zone, setting string
	latest               time.Duration // after which it would meet the next update
}

// scheduled: the schedules that only set the number of tasks, or all others, are those that the
// parameters want of each address.
func scheduled(number bool, of func(p *params.Params, address int) []update) judge {
	return func(a *Assembly) *Finding {
		does := func(times, zone, input string) string { return times + " in " + zone + ": " + input }
		want := map[string]time.Duration{}
		for _, s := range a.all(service) {
			for _, u := range of(a.Params, s.number()) {
				input := fmt.Sprintf(`{"Cluster":"%s",%s,"Service":"%s"}`, s.text("Cluster"), u.setting, s.ref())
				want[does(u.times, u.zone, input)] = u.latest
			}
		}
		for _, r := range a.all(schedule) {
			input := r.text("Target.Input")
			sets := func(name string) bool { return strings.Contains(input, `"`+name+`"`) }
			if number != (sets("DesiredCount") && !sets("ForceNewDeployment")) {
				continue
			}
			got := does(r.text("ScheduleExpression"), r.text("ScheduleExpressionTimezone"), input)
			latest, wanted := want[got]
			if !wanted {
				return r.wrong("does what no parameter says: %s", got)
			}
			delete(want, got) // another one is too much
			age, _ := strconv.Atoi(r.text("Target.RetryPolicy.MaximumEventAgeInSeconds"))
			if age < 1 || time.Duration(age)*time.Second > latest {
				return r.wrong("Target.RetryPolicy: tries for %d s, and the next update comes after %s", age, latest)
			}
		}
		for _, missing := range slices.Sorted(maps.Keys(want)) {
			return a.template("no schedule does %s", missing)
		}
		return nil
	}
}

// onTime: every schedule calls ECS at its time, and says where it failed.
func onTime(a *Assembly) *Finding {
	return all(is(schedule, "Target.Arn", "arn:"+a.partition()+":scheduler:::aws-sdk:ecs:updateService"),
		is(schedule, "State", nil), is(schedule, "FlexibleTimeWindow.Mode", "OFF"),
		each(schedule, func(a *Assembly, r *resource) *Finding {
			if queue := r.value("Target.DeadLetterConfig.Arn"); a.referred(queue).kind != "AWS::SQS::Queue" {
				return r.wrong("Target.DeadLetterConfig: is %s, want a queue of the fleet's", show(queue))
			}
			return nil
		}))(a)
}

// rotations: an address is deployed anew each rotateEvery, at an offset of its own: half a period,
// a quarter, an eighth and so on, one for each bit of its number. It is over before the next time:
// tasks take five minutes to start and two to stop, and the load balancer two to notice.
func rotations(p *params.Params, address int) []update {
	offset, part := time.Duration(0), p.RotateEvery
	for bits := address - 1; bits > 0; bits /= 2 {
		if part /= 2; bits%2 == 1 {
			offset += part
		}
	}
	minute, hour, day := int(offset.Minutes())%60, int(offset.Hours())%24, int(offset.Hours())/24
	var times string
	switch every := p.RotateEvery; {
	case every == 0:
		return nil
	case every < time.Hour:
		times = fmt.Sprintf("%d/%.0f * * * ?", minute, every.Minutes())
	case every < 24*time.Hour:
		times = fmt.Sprintf("%d %d/%.0f * * ?", minute, hour, every.Hours())
	case every == 24*time.Hour:
		times = fmt.Sprintf("%d %d * * ?", minute, hour)
	default:
		times = fmt.Sprintf("%d %d ? * %s", minute, hour, weekdays[day])
	}
	latest := p.RotateEvery - p.DrainTimeout - 9*time.Minute
	return []update{{"cron(" + times + " *)", "UTC", `"ForceNewDeployment":true`, latest}}
}

var weekdays = []string{"MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"}

// hours: an address starts when activeHours begin and stops when they end, on the next day if that
// is earlier.
func hours(p *params.Params, _ int) []update {
	h, length := p.ActiveHours, p.ActiveHours.Stop-p.ActiveHours.Start
	var start, stop []string
	for _, day := range h.Days {
		begins := int(day) + 6 // counted from Monday
		start = append(start, weekdays[begins%7])
		if length < 0 {
			begins++
		}
		stop = append(stop, weekdays[begins%7])
	}
	if start == nil {
		return nil
	}
	if length < 0 {
		length += 24 * time.Hour
	}
	at := func(clock time.Duration, days []string, tasks int) update {
		minute, hour := int(clock.Minutes())%60, int(clock.Hours())
		times := fmt.Sprintf("cron(%d %d ? * %s *)", minute, hour, strings.Join(days, ","))
		return update{times, p.Timezone, fmt.Sprintf(`"DesiredCount":%d`, tasks), min(length, 24*time.Hour-length)}
	}
	return []update{at(h.Start, start, 1), at(h.Stop, stop, 0)}
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
	if encrypted(a.Params) { // A TLS listener has a timeout of its own.
		return nil
	}
	return is(listener, "ListenerAttributes.tcp.idle_timeout.seconds", fmt.Sprint(seconds))(a)
}
