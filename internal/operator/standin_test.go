package operator

import (
	"testing"
	"time"

	"squidfleet/internal/must"
	"squidfleet/internal/operator/standin"
)

// connect returns a fleet in a stand-in of AWS. It is asked often, so that no test takes long.
func connect(t *testing.T) (*Connection, *standin.AWS) {
	t.Helper()
	aws := standin.New()
	t.Cleanup(func() {
		aws.Close()
		for _, problem := range aws.Problems() {
			t.Error(problem)
		}
	})
	environment(t, aws.URL)
	f, err := Connect(t.Context(), Options{StackName: standin.StackName, Poll: time.Millisecond})
	must.OK(t, err)
	return f, aws
}

// environment has nothing of this machine's in it.
func environment(t *testing.T, endpoint string) {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": standin.Region, "AWS_ACCESS_KEY_ID": standin.AccessKey,
		"AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "",
		"AWS_DEFAULT_REGION": "", "AWS_ENDPOINT_URL_EC2": "", "AWS_CA_BUNDLE": "",
		"AWS_USE_FIPS_ENDPOINT": "", "AWS_USE_DUALSTACK_ENDPOINT": "",
		"AWS_CONFIG_FILE": t.TempDir() + "/none", "AWS_SHARED_CREDENTIALS_FILE": t.TempDir() + "/none",
		"AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
}

// The stand-in's own checks: without them a test could pass with what AWS would refuse.
func TestStandInRefusesWhatAWSWould(t *testing.T) {
	aws := standin.New()
	defer aws.Close()
	environment(t, aws.URL)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIAOTHER")
	_, err := Connect(t.Context(), Options{StackName: standin.StackName, Poll: time.Millisecond})
	must.OK(t, err)
	if len(aws.Problems()) != 1 {
		t.Errorf("a wrong signature: problems %q", aws.Problems())
	}
}
