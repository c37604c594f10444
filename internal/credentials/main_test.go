package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"squidfleet/internal/must"
)

func TestCredentialsAreFoundWhereTheCLIFindsThem(t *testing.T) {
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
			os.Unsetenv(name)
		}
	}
	dir := t.TempDir()
	files := map[string]string{
		"config": "[profile role]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = keys\n" +
			"mfa_serial = arn:aws:iam::123456789012:mfa/m\n[profile empty]\nregion = eu-west-1\n",
		"credentials": "[keys]\naws_access_key_id = A\naws_secret_access_key = S\n",
	}
	for name, text := range files {
		must.OK(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(dir, "config"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(dir, "credentials"))
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	for _, c := range []struct{ profile, key, arguments, wrong string }{
		{"", "", "", "no usable AWS credentials"},
		{"", "A", "", ""},
		{"", "", "-c fleetSize=3 --profile keys", ""},
		{"", "", "--profile=keys", ""},
		{"keys", "", "", ""},
		{"keys", "", "--profile empty", "no usable AWS credentials"},
		{"", "", "--profile role", ""}, // asks for a code
		{"", "", "--profile none", `no AWS profile "none"`},
		{"", "", "--plugin ./mine.js", ""},
	} {
		t.Setenv("AWS_PROFILE", c.profile)
		t.Setenv("AWS_ACCESS_KEY_ID", c.key)
		t.Setenv("AWS_SECRET_ACCESS_KEY", c.key)
		err := find(t.Context(), strings.Fields(c.arguments))
		if c.wrong == "" && err != nil {
			t.Errorf("%+v: %v", c, err)
		}
		if c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
