package operator

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
)

// Endpoints as AWS's general reference lists them for EC2.
func TestEndpointOfEC2(t *testing.T) {
	for _, c := range []struct{ region, fips, dual, url, urlEC2, want string }{
		{region: "eu-west-1", want: "https://ec2.eu-west-1.amazonaws.com"},
		{region: "cn-north-1", want: "https://ec2.cn-north-1.amazonaws.com.cn"},
		{region: "us-gov-west-1", want: "https://ec2.us-gov-west-1.amazonaws.com"},
		{region: "us-east-1", fips: "true", want: "https://ec2-fips.us-east-1.amazonaws.com"},
		{region: "eu-west-1", dual: "true", want: "https://ec2.eu-west-1.api.aws"},
		{region: "eu-west-1", url: "http://127.0.0.1:1", want: "http://127.0.0.1:1"},
		{region: "eu-west-1", url: "http://127.0.0.1:1", urlEC2: "http://127.0.0.1:2", want: "http://127.0.0.1:2"},
	} {
		environment(t, c.url)
		t.Setenv("AWS_REGION", c.region)
		t.Setenv("AWS_USE_FIPS_ENDPOINT", c.fips)
		t.Setenv("AWS_USE_DUALSTACK_ENDPOINT", c.dual)
		t.Setenv("AWS_ENDPOINT_URL_EC2", c.urlEC2)
		cfg, err := config.LoadDefaultConfig(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		client, err := newInterfaceClient(t.Context(), cfg, ecs.NewFromConfig(cfg).Options())
		if err != nil {
			t.Fatal(err)
		}
		if client.endpoint != c.want {
			t.Errorf("%+v: %s", c, client.endpoint)
		}
	}
}

func TestAnswerThatIsNotEC2s(t *testing.T) {
	for _, body := range []string{"", "<html>", "Bad gateway", "<Response></Response>"} {
		if err := interfaceError([]byte(body)); err == nil || err.Error() != "api error UnknownError: an answer that is not EC2's" {
			t.Errorf("%q: %v", body, err)
		}
	}
}
