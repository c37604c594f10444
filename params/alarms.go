package params

// Alarms reports whether somebody gets alarms.
func (p *Params) Alarms() bool { return p.AlarmEmail != "" || p.AlarmTopicARN != "" }

func oneAlarmTarget(p *Params, refuse refusal) {
	if p.AlarmEmail != "" && p.AlarmTopicARN != "" {
		refuse("alarmTopicArn", "has no meaning beside alarmEmail, for which the fleet gets a topic of its own; "+
			"give one of the two")
	}
}
