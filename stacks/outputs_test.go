package stacks

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"squidfleet/params"
)

// text writes an output with its references as <logical id>.
func (t template) text(test *testing.T, id string) string {
	test.Helper()
	var write func(v any) string
	write = func(v any) string {
		switch v := v.(type) {
		case string:
			return v
		case map[string]any:
			if join, ok := v["Fn::Join"].([]any); ok {
				var all string
				for _, part := range join[1].([]any) {
					all += write(part)
				}
				return all
			}
			if pair, ok := v["Fn::GetAtt"].([]any); ok {
				return "<" + pair[0].(string) + "." + pair[1].(string) + ">"
			}
			return "<" + ref(v) + ">"
		}
		test.Fatalf("output %s: %v", id, v)
		return ""
	}
	return write(t.Outputs[id].Value)
}

func TestOutputsCanBeUsedAtOnce(t *testing.T) {
	proxy := synth(t, full).proxy
	balancer, _ := proxy.only(t, "AWS::ElasticLoadBalancingV2::LoadBalancer")
	group, _ := proxy.only(t, "AWS::Logs::LogGroup")
	queue, _ := proxy.only(t, "AWS::SQS::Queue")
	want := map[string]string{
		"Endpoint":         "<" + balancer + ".DNSName>:40000",
		"TryIt":            "curl --proxy http://<" + balancer + ".DNSName>:40000 --proxy-digest --proxy-user alice https://checkip.amazonaws.com",
		"LogGroup":         "<" + group + ">",
		"FollowLog":        "aws logs tail --region <AWS::Region> --follow <" + group + ">",
		"ClusterName":      "<Cluster>",
		"ServiceName":      "<Service.Name>",
		"RotationFailures": "<" + queue + ">",
	}
	for i, id := range []string{"PasswordOfalice", "PasswordOfbob", "PasswordOfbobX2"} {
		secret := ref(proxy.container(t)["Secrets"].([]any)[i].(map[string]any)["ValueFrom"])
		want[id] = "aws secretsmanager get-secret-value --region <AWS::Region> --secret-id <" + secret + "> --query SecretString --output text"
	}
	got := map[string]string{}
	for id, output := range proxy.Outputs {
		got[id] = proxy.text(t, id)
		if output.Description == "" || output.Export != nil {
			t.Errorf("output %s: description %q, export %v", id, output.Description, output.Export)
		}
	}
	equal(t, "the outputs", got, indented(t, want))
}

func TestPasswordsInTheImageAreNotInTheOutputs(t *testing.T) {
	for id := range synth(t, everyFleet["image"]).proxy.Outputs {
		if strings.HasPrefix(id, "PasswordOf") {
			t.Errorf("output %s", id)
		}
	}
}

func TestTryItUsesASchemeThatThePortsAllow(t *testing.T) {
	for _, c := range []struct {
		http, connect []int
		want          string
	}{
		{[]int{80}, []int{443}, "https://checkip.amazonaws.com"},
		{[]int{80}, nil, "http://checkip.amazonaws.com"},
		{[]int{80}, []int{8443}, "http://checkip.amazonaws.com"},
		{[]int{8080}, []int{8443}, ""},
	} {
		if got := tryURL(&params.Params{HTTPPorts: c.http, ConnectPorts: c.connect}); got != c.want {
			t.Errorf("%v, %v: %q, want %q", c.http, c.connect, got, c.want)
		}
	}
}

func TestNetworkOutputsAreNotExported(t *testing.T) {
	network := synth(t).network
	if len(network.Outputs) == 0 {
		t.Error("the network has no outputs")
	}
	for _, id := range slices.Sorted(maps.Keys(network.Outputs)) {
		if network.Outputs[id].Export != nil {
			t.Errorf("%s has an export, whose name must be unique in the account", id)
		}
	}
}
