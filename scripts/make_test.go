package scripts

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// With an assembly that is there, parameters in ARGS would be ignored.
func TestMakeRefusesParametersForAnAssembly(t *testing.T) {
	for _, c := range []struct {
		arguments string
		refused   bool
	}{
		{"check ASSEMBLY=cdk.out", false},
		{"check ARGS=-v", false},
		{"check ASSEMBLY=cdk.out ARGS=-v", true},
		{"deploy ASSEMBLY=cdk.out ARGS=--profile=x", false},
		{"deploy ASSEMBLY=cdk.out ARGS=-cfleetSize=3", true},
		{"deploy ARGS=-cfleetSize=3", false},
	} {
		said, err := dry(strings.Fields(c.arguments)...)
		refused := err != nil && strings.Contains(said, "leave out ASSEMBLY")
		if refused != c.refused || err != nil && !refused {
			t.Errorf("make %s: %v\n%s", c.arguments, err, said)
		}
	}
}

// The CDK CLI would find out only after a synth.
func TestMakeLooksForCredentialsFirst(t *testing.T) {
	for _, target := range []string{"diff", "deploy", "destroy"} {
		said, err := dry(target, "ARGS=--profile x")
		look := strings.Index(said, "scripts/go.sh run ./internal/credentials --profile x\n")
		synth := strings.Index(said, "cdk ")
		if err != nil || look < 0 || synth < look {
			t.Errorf("make %s: %v\n%s", target, err, said)
		}
	}
}

// Other settings would compile the CDK's bindings again.
func TestProgramsWithTheCDKShareOneBuild(t *testing.T) {
	file, err := os.ReadFile("../cdk.json")
	if err != nil || !strings.Contains(string(file), `"app": "scripts/go.sh run ."`) {
		t.Errorf("cdk.json does not run the app with scripts/go.sh: %v", err)
	}
	for target, want := range map[string]string{
		"check":     "\nscripts/go.sh run ./internal/check/cmd ",
		"templates": "\nscripts/go.sh test -timeout 25m . ./stacks/... ",
	} {
		if said, err := dry(target); err != nil || !strings.Contains("\n"+said, want) {
			t.Errorf("make %s: %v\n%s", target, err, said)
		}
	}
}

// dry returns what make would run. A make around the tests has no say in it.
func dry(arguments ...string) (string, error) {
	command := exec.Command("make", append([]string{"-C", "..", "-n"}, arguments...)...)
	command.Env = append(os.Environ(), "MAKEFLAGS=")
	said, err := command.CombinedOutput()
	return string(said), err
}
