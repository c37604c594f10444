package lifecycle

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"squidfleet/internal/cdkcontext"
	"squidfleet/internal/must"
)

const (
	networkStack = "Squidfleet-Network"
	proxyStack   = "Squidfleet-Proxy"
	listenerType = "AWS::ElasticLoadBalancingV2::Listener"
	serviceType  = "AWS::ECS::Service"
	groupType    = "AWS::ElasticLoadBalancingV2::TargetGroup"
	linkType     = "AWS::EC2::VPCEndpointService"
)

// arguments are common to the commands that run the app. The image is built for this machine,
// which need not be able to run another's programs.
func arguments(command string, more ...string) []string {
	architecture := map[string]string{"amd64": "x86_64", "arm64": "arm64"}[runtime.GOARCH]
	all := []string{command, "--output", filepath.Join(work, "assembly"), "-c", "architecture=" + architecture}
	return append(all, more...)
}

// unasked is what a deployment by a program adds.
var unasked = []string{"--all", "--require-approval", "never", "--progress", "events"}

// deployAgain deploys the assembly of the last run of the app, as a pipeline does that synthesises
// once.
func deployAgain(t *testing.T) result {
	t.Helper()
	return cdk(t, append([]string{"deploy", "--app", filepath.Join(work, "assembly")}, unasked...)...)
}

// expect checks a run's exit status and that it says some texts.
func (r result) expect(t *testing.T, code int, texts ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("exit status %d, want %d", r.code, code)
	}
	for _, text := range texts {
		if !strings.Contains(r.output, text) {
			t.Errorf("does not say %q", text)
		}
	}
	if t.Failed() {
		t.Fatalf("the CLI said:\n%s", r.output)
	}
}

func expectStatus(t *testing.T, network, proxy string) {
	t.Helper()
	for stack, want := range map[string]string{networkStack: network, proxyStack: proxy} {
		if got := aws.Status(stack); got != want {
			t.Errorf("%s is %q, want %q", stack, got, want)
		}
	}
}

func one(t *testing.T, kind string) *resource {
	t.Helper()
	found := aws.Resources(kind)
	if len(found) != 1 {
		t.Fatalf("%d resources of type %s, want 1: %v", len(found), kind, found)
	}
	return found[0]
}

func fleet() map[string]*resource {
	all := map[string]*resource{}
	for _, r := range aws.Resources("") {
		if r.stack == networkStack || r.stack == proxyStack {
			all[r.stack+"/"+r.logicalID] = r
		}
	}
	return all
}

// expectChanges holds what has become of the fleet to what should have: how many resources of each
// type came, went or were replaced. The others are those of before, some changed in place.
func expectChanges(t *testing.T, before map[string]*resource, want map[string]int) {
	t.Helper()
	got, after := map[string]int{}, fleet()
	for name, r := range after {
		if was, existed := before[name]; !existed {
			got["new "+r.kind]++
		} else if was.id != r.id {
			got["replaced "+r.kind]++
		}
	}
	for name, r := range before {
		if _, stays := after[name]; !stays {
			got["gone "+r.kind]++
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("changed: %v\nwant: %v", got, want)
	}
}

// built counts how often the container engine was asked to build or push an image.
func built(t *testing.T, command string) int {
	t.Helper()
	log, err := os.ReadFile(dockerLog())
	must.OK(t, err)
	return strings.Count("\n"+string(log), "\n"+command+" ")
}

// TestLifeCycle is one story: each chapter begins where the last one ended.
func TestLifeCycle(t *testing.T) {
	var bootstrapped int // calls until the account was ready
	chapter := func(name string, test func(t *testing.T)) {
		if !t.Failed() {
			t.Run(name, test)
		}
	}

	chapter("deploy before bootstrap says what is missing", func(t *testing.T) {
		cdk(t, arguments("deploy", unasked...)...).expect(t, 1, "/cdk-bootstrap/hnb659fds/version", "cdk bootstrap")
		expectStatus(t, "", "")
	})

	chapter("bootstrap", func(t *testing.T) {
		// As docs/deploy.md has it, for least privilege. What the policy allows is not looked
		// at here.
		policy := "arn:aws:iam::" + Account + ":policy/SquidfleetExecution"
		cdk(t, "bootstrap", "aws://"+Account+"/"+Region, "--cloudformation-execution-policies",
			policy).expect(t, 0, "bootstrapped")
		var attached []any
		for _, role := range aws.Resources("AWS::IAM::Role") {
			if role.logicalID == "CloudFormationExecutionRole" {
				attached, _ = role.properties["ManagedPolicyArns"].([]any)
			}
		}
		if !slices.Equal(attached, []any{policy}) {
			t.Errorf("CloudFormation works with %v, want %s alone", attached, policy)
		}
		if got := aws.Status("CDKToolkit"); got != "CREATE_COMPLETE" {
			t.Errorf("CDKToolkit is %q", got)
		}
		bootstrapped = len(aws.Calls())
	})

	chapter("deploy creates the fleet", func(t *testing.T) {
		deployAgain(t).expect(t, 0,
			proxyStack+".Endpoint = ", proxyStack+".TryIt = curl --proxy http://", "--proxy-digest")
		expectStatus(t, "CREATE_COMPLETE", "CREATE_COMPLETE")
		if builds, pushes := built(t, "build"), built(t, "push"); builds != 1 || pushes != 1 {
			t.Errorf("the image was built %d times and pushed %d times, want once", builds, pushes)
		}
		if n := len(aws.Resources(serviceType)); n != 2 {
			t.Errorf("%d services", n)
		}
		checkImage(t)
	})

	chapter("diff against itself is empty", func(t *testing.T) {
		r := cdk(t, arguments("diff", "--fail")...)
		r.expect(t, 0, "Stack "+networkStack, "Stack "+proxyStack, "Number of stacks with differences: 0")
		if n := strings.Count(r.output, "There were no differences"); n != 2 {
			t.Errorf("%d of 2 stacks without differences:\n%s", n, r.output)
		}
	})

	chapter("diff shows a changed parameter and changes nothing", func(t *testing.T) {
		before := fleet()
		changed := cdk(t, arguments("diff", "--fail", "-c", "fleetSize=3")...)
		changed.expect(t, 1, "[+] AWS::ECS::Service Service3 ", "Number of stacks with differences: 1")
		if strings.Contains(changed.output, "replacement)") || strings.Contains(changed.output, "be replaced") {
			t.Errorf("says that something is replaced:\n%s", changed.output)
		}
		expectStatus(t, "CREATE_COMPLETE", "CREATE_COMPLETE")
		expectChanges(t, before, map[string]int{})
	})

	chapter("deploy adds an address and leaves the others alone", func(t *testing.T) {
		before := fleet()
		deployAgain(t).expect(t, 0, networkStack+" (no changes)", "✅  "+proxyStack)
		expectStatus(t, "CREATE_COMPLETE", "UPDATE_COMPLETE")
		expectChanges(t, before, map[string]int{"new " + serviceType: 1, "new " + listenerType: 1,
			"new " + groupType: 1, "new AWS::Scheduler::Schedule": 1})
		if n := built(t, "build"); n != 1 {
			t.Errorf("the image was built %d times", n)
		}
	})

	// deploy gives the proxy a name, and with it TLS.
	deploy := func(t *testing.T, context ...string) result {
		all := slices.Clone(unasked)
		for _, one := range append(context, "domainName=proxy.example.com", "hostedZoneId=Z0123456789ABC") {
			all = append(all, "-c", one)
		}
		return cdk(t, arguments("deploy", all...)...)
	}

	chapter("a name, TLS, Basic, and as many addresses as there are ports", func(t *testing.T) {
		before := fleet()
		deploy(t, "fleetSize=49", "auth=basic").expect(t, 0, proxyStack+".Endpoint = proxy.example.com:35201",
			proxyStack+".TryIt = curl --proxy https://proxy.example.com:35201 --proxy-basic")
		expectStatus(t, "CREATE_COMPLETE", "UPDATE_COMPLETE")
		expectChanges(t, before, map[string]int{"new " + serviceType: 46, "new " + listenerType: 46,
			"new " + groupType: 46, "new AWS::Scheduler::Schedule": 46, "replaced AWS::ECS::TaskDefinition": 1,
			"new AWS::CertificateManager::Certificate": 1, "new AWS::Route53::RecordSet": 1,
			"gone AWS::SecretsManager::Secret": 1, // the key of Digest's nonces
		})
		if n := built(t, "push"); n != 2 {
			t.Errorf("%d images pushed, want 2", n)
		}
		checkImage(t)
	})

	// A target group belongs to one load balancer: a new one has new groups.
	moves := func(more map[string]int) map[string]int {
		all := map[string]int{"replaced AWS::ElasticLoadBalancingV2::LoadBalancer": 1,
			"replaced AWS::ECS::TaskDefinition": 1, "replaced " + listenerType: 4, "new " + groupType: 4}
		maps.Copy(all, more)
		return all
	}

	chapter("inside behind PrivateLink, without passwords, and fewer addresses", func(t *testing.T) {
		before := fleet()
		said := deploy(t, "fleetSize=3", "auth=none", "endpoint=internal",
			"privateLinkPrincipals=arn:aws:iam::111122223333:root")
		said.expect(t, 0, proxyStack+".TryIt = curl --proxy https://proxy.example.com:35201 https://")
		said.expect(t, 0, proxyStack+".PrivateLinkService = com.amazonaws.vpce."+Region+"."+one(t, linkType).id)
		expectChanges(t, before, moves(map[string]int{"gone " + serviceType: 46, "gone " + listenerType: 46,
			"gone " + groupType: 50, "gone AWS::Scheduler::Schedule": 46, "gone AWS::SecretsManager::Secret": 1,
			"new " + linkType: 1, "new " + linkType + "Permissions": 1}))
	})

	chapter("outside again, with Digest and Basic", func(t *testing.T) {
		before := fleet()
		deploy(t, "fleetSize=3", "auth=any").expect(t, 0, proxyStack+".PasswordOfproxy = ",
			proxyStack+".TryIt = curl --proxy https://proxy.example.com:35201 --proxy-digest")
		expectChanges(t, before, moves(map[string]int{"gone " + groupType: 4, "new AWS::SecretsManager::Secret": 2,
			"gone " + linkType: 1, "gone " + linkType + "Permissions": 1}))
	})

	chapter("destroy leaves what bootstrap made", func(t *testing.T) {
		cdk(t, "destroy", "--all", "--force", "--app",
			filepath.Join(work, "assembly")).expect(t, 0, proxyStack+": destroyed", networkStack+": destroyed")
		expectStatus(t, "", "")
		for _, r := range aws.Resources("") {
			if r.stack != "CDKToolkit" {
				t.Errorf("%s of %s, %s, is left", r.logicalID, r.stack, r.kind)
			}
		}
	})

	calls := aws.Calls()
	for i, call := range calls {
		if call.Unanswered != "" {
			t.Errorf("the stand-in has no answer to %s:%s: %s", call.Service, call.Action, call.Unanswered)
		}
		// docs/deploy.md says what a person needs once the account is bootstrapped.
		if i >= bootstrapped && call.Principal == User && call.Service != "sts" {
			t.Errorf("the person's own credentials were used for %s:%s", call.Service, call.Action)
		}
	}
	t.Logf("%d calls", len(calls))
}

// checkImage finds the task definition's image in the registry, for this machine's processor.
func checkImage(t *testing.T) {
	t.Helper()
	containers := one(t, "AWS::ECS::TaskDefinition").properties["ContainerDefinitions"].([]any)
	text, err := aws.ImageConfig(containers[0].(map[string]any)["Image"].(string))
	must.OK(t, err)
	var image struct{ Architecture, OS string }
	must.OK(t, json.Unmarshal(text, &image))
	if image.OS != "linux" || image.Architecture != runtime.GOARCH {
		t.Errorf("the image is for %s/%s", image.OS, image.Architecture)
	}
}

// The CLI runs the app twice here: to learn what to look up, and with the answer, which is that
// the lookup failed.
func TestAWrongVPCLeavesTheLastAssemblyAsItWas(t *testing.T) {
	outdir := filepath.Join(t.TempDir(), "cdk.out")
	synth := []string{"synth", "--quiet", "--output", outdir}
	cdk(t, synth...).expect(t, 0)
	before := cdkcontext.Files(t, outdir)
	got := cdk(t, append(synth, "-c", "vpcId="+cdkcontext.VPC)...)
	want := regexp.MustCompile(`(?m)^vpcId: looking up "` + cdkcontext.VPC + `" in account ` + Account + ` .* failed: `)
	if got.code == 0 || !want.MatchString(got.output) {
		t.Errorf("exit code %d\n%s", got.code, got.output)
	}
	if after := cdkcontext.Files(t, outdir); len(before) < 10 || !maps.Equal(after, before) {
		t.Errorf("of %q\nbecame %q", slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(after)))
	}
}
