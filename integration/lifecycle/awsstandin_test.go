package lifecycle

import (
	"strings"
	"testing"

	"squidfleet/internal/awsapi"
	"squidfleet/internal/must"
)

// No change of the project's stacks gets these refusals. They would show that a target group has to
// be a new one, or a listener to be there before a service.
func TestTargetGroupsServeOneLoadBalancer(t *testing.T) {
	const (
		balancer = `"Balancer": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer",
			"Properties": {"Scheme": "internal"}}`
		targets = `"Targets": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup"}`
		service = `"Service": {"Type": "AWS::ECS::Service",
			"Properties": {"LoadBalancers": [{"TargetGroupArn": {"Ref": "Targets"}}]}}`
		listener = `{"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": {"Port": 1,
			"LoadBalancerArn": {"Ref": "Balancer"}, "DefaultActions": [{"TargetGroupArn": {"Ref": "Targets"}}]}}`
		first, second = `"Listener1": ` + listener, `"Listener2": ` + listener
	)
	other := strings.Replace(balancer, "internal", "internet-facing", 1)
	s := Start(aws.spec)
	defer s.Close()
	st := &stack{resources: map[string]*resource{}}
	for _, c := range []struct {
		resources []string
		want      string
	}{
		{[]string{balancer, targets, service}, "does not have an associated load balancer"},
		{[]string{balancer, targets, first}, ""},
		{[]string{balancer, targets, first, second}, "DuplicateListener"},
		{[]string{other, targets, first}, "cannot be associated with more than one load balancer"},
	} {
		text := `{"Resources": {` + strings.Join(c.resources, ",") + `}}`
		template, err := s.readTemplate(&request{Request: &awsapi.Request{Input: map[string]any{"TemplateBody": text}}})
		must.OK(t, err)
		err = s.deploy(st, deployment{template: template})
		if err == nil && c.want != "" || err != nil && (c.want == "" || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}
