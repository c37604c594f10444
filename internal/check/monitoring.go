package check

const (
	alarm        = "AWS::CloudWatch::Alarm"
	topic        = "AWS::SNS::Topic"
	subscription = "AWS::SNS::Subscription"
	events       = "AWS::Events::Rule"
)

// alarmed: alarms and events reach who is to get them, and nobody else. A metric that ends when
// nothing runs is no alarm where that is meant. Metrics of the log exist from the first line on.
func alarmed(a *Assembly) *Finding {
	p, to := a.Params, any(a.Params.AlarmTopicARN)
	var mails []string
	for _, s := range a.all(subscription) {
		mails = append(mails, s.text("Protocol")+" "+s.text("Endpoint"))
		if of := a.referred(s.value("TopicArn")); of.kind == topic {
			to = of.ref()
		}
	}
	var wanted []string
	if p.AlarmEmail != "" {
		wanted = append(wanted, "email "+p.AlarmEmail)
	}
	if d := unlike(mails, wanted); d != "" {
		return a.template("mail of alarms: %s", d)
	}
	if n := len(a.all(alarm)); (n > 0) != (p.AlarmEmail+p.AlarmTopicARN != "") || n > 10 {
		return a.template("there are %d alarms", n)
	}
	few := "breaching"
	if len(p.ActiveHours.Days) > 0 {
		few = "notBreaching"
	}
	return all(is(alarm, "AlarmActions", []any{to}), is(alarm, "OKActions", []any{to}),
		is(events, "Targets.0.Arn", to), is(events, "Targets.1", nil),
		matches(alarm, "AlarmDescription", `docs/operate\.md#alarms, \w+$`),
		is("AWS::Logs::MetricFilter", "MetricTransformations.0.DefaultValue", "0"),
		each(alarm, func(_ *Assembly, r *resource) *Finding {
			counts := at(r.value("Metrics.0"), "MetricStat.Metric.MetricName") == "HealthyHostCount"
			if got := r.text("TreatMissingData"); counts && got != few || !counts && got == "breaching" {
				return r.wrong("TreatMissingData: is %s", got)
			}
			return nil
		}),
		each("AWS::SNS::TopicPolicy", func(a *Assembly, r *resource) *Finding {
			for _, s := range r.list("PolicyDocument.Statement") {
				if written(at(s, "Action")) != `"sns:Publish"` || at(s, "Principal.Service") == nil {
					return r.wrong("PolicyDocument: permits %s, want services that publish", show(s))
				}
			}
			return nil
		}))(a)
}
