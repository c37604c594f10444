package params

import (
	"errors"
	"regexp"
)

// Alarms reports whether somebody gets alarms.
func (p *Params) Alarms() bool { return p.AlarmEmail != "" || p.AlarmTopicARN != "" }

// AlarmTopicRegion returns the region of the topic that gets alarms, by its ARN.
func (p *Params) AlarmTopicRegion() string { return regionOf(topicForm, p.AlarmTopicARN) }

var (
	emailForm  = regexp.MustCompile(`^[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}$`)
	topicForm  = regexp.MustCompile(`^arn:aws[a-z-]*:sns:([a-z0-9-]+):\d{12}:[A-Za-z0-9_-]{1,256}$`)
	checkTopic = shaped(topicForm, "the ARN of an SNS topic without .fifo at its end",
		"arn:aws:sns:eu-west-1:111122223333:alarms")
)

func checkEmail(s string) error {
	if len(s) <= 254 && emailForm.MatchString(s) {
		return nil
	}
	return errors.New(show(s) + " is not an e-mail address; give one such as ops@example.com")
}

func oneAlarmTarget(p *Params, refuse refusal) {
	if p.AlarmEmail != "" && p.AlarmTopicARN != "" {
		refuse("alarmTopicArn", "has no meaning beside alarmEmail, for which the fleet gets a topic of its own; "+
			"give one of the two")
	}
}
