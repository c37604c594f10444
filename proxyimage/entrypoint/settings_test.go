package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"squidfleet/internal/must"
	"squidfleet/proxyimage/container"
	"squidfleet/squid"
)

const notASetting = "is not a setting with the chosen SQUIDFLEET_AUTH, SQUIDFLEET_DIGEST and " +
	"SQUIDFLEET_CREDENTIALS; leave it out"

// No problem repeats a password.
func TestBadSettings(t *testing.T) {
	const (
		image   = "CREDENTIALS=image "
		secrets = "CREDENTIALS=secretsmanager "
		drain   = ` is not a duration from 0s to 24h0m0s; write it like 90s or 1m30s`
	)
	for _, c := range []struct {
		set  string   // variables, each without SQUIDFLEET_, separated by spaces
		want []string // problems, each without SQUIDFLEET_ at its beginning
	}{
		{"DIGEST=", []string{
			"DIGEST: is missing; set it to fleet or squid",
			"CREDENTIALS: is missing; set it to secretsmanager or image",
		}},
		{"CREDENTIALS=vault", []string{
			`CREDENTIALS: "vault" is not a choice; set it to secretsmanager or image`,
		}},
		{"USRES=alice CREDENTIALS=", []string{
			"CREDENTIALS: is missing; set it to secretsmanager or image",
			"USRES: " + notASetting,
		}},
		{image + "EGRESS_URL=https://example.com/", []string{`EGRESS_URL: "https://example.com/" does not begin ` +
			"with http://, the only scheme supported; set it to such a URL or to off"}},
		{image + "DRAIN_TIMEOUT=90", []string{`DRAIN_TIMEOUT: "90"` + drain}},
		{image + "DRAIN_TIMEOUT=24h1s", []string{`DRAIN_TIMEOUT: "24h1s"` + drain}},
		{image + "DRAIN_TIMEOUT=-1s", []string{`DRAIN_TIMEOUT: "-1s"` + drain}},
		{image + "METRICS=a\"b METRICS_EVERY=99ms", []string{
			`METRICS: "a\"b" is not 1 to 128 ASCII letters, digits and hyphens`,
			`METRICS_EVERY: "99ms" is not a duration from 100ms to 24h0m0s; write it like 90s or 1m30s`,
		}},
		{image + "METRICS=", []string{"METRICS: is empty; set it or leave it out"}},
		{image + "SQUID=", []string{"SQUID: is empty; set it or leave it out"}},
		{secrets, []string{
			"REALM: is missing; set it to the realm",
			"USERS: is missing; set it to the user names, separated by commas",
		}},
		{secrets + "REALM=r USERS=alice,bob PASSWORD_ALICE=open-sesame", []string{
			`PASSWORD_BOB: is missing; set it to the password of user "bob"`,
		}},
		{secrets + "REALM=r USERS=alice PASSWORD_ALICE=a-password PASSWORD_BOB=swordfish", []string{
			"PASSWORD_BOB: " + notASetting,
		}},
		{secrets + "REALM=r USERS=a-b,a_b PASSWORD_A_B=a-password", []string{
			`USERS[1]: "a_b" and "a-b" both take their password from SQUIDFLEET_PASSWORD_A_B; rename one`,
		}},
		{"AUTH= " + image, []string{"AUTH: is missing; set it to digest, basic, any or none"}},
		{"AUTH=ntlm " + image, []string{`AUTH: "ntlm" is not a choice; set it to digest, basic, any or none`}},
		{"AUTH=any " + image, []string{"DIGEST: squid only goes with SQUIDFLEET_AUTH=digest; set it to fleet"}},
		{"AUTH=any DIGEST=fleet " + image, []string{"DIGEST_KEYS: is missing; with SQUIDFLEET_DIGEST=fleet, " +
			"set it to the secret that all tasks of the fleet share"}},
		{"AUTH=basic DIGEST=fleet DIGEST_KEYS=x " + image, []string{"DIGEST_KEYS: " + notASetting}},
		{"AUTH=none USERS=alice PASSWORD_ALICE=swordfish " + image, []string{
			"CREDENTIALS: " + notASetting, "DIGEST: " + notASetting, "PASSWORD_ALICE: " + notASetting,
			"USERS: " + notASetting,
		}},
		{image + "DIGEST=both", []string{`DIGEST: "both" is not a choice; set it to fleet or squid`}},
		{image + "DIGEST=fleet", []string{"DIGEST_KEYS: is missing; with SQUIDFLEET_DIGEST=fleet, " +
			"set it to the secret that all tasks of the fleet share"}},
		{image + "DIGEST=fleet DIGEST_KEYS=swordfish", []string{
			"DIGEST_KEYS: keys[0]: 9 characters; 32 to 1024 are needed",
		}},
		{image + "DIGEST_KEYS=x", []string{"DIGEST_KEYS: " + notASetting}},
		{image + "REALM=r USERS=alice PASSWORD_ALICE=swordfish", []string{
			"PASSWORD_ALICE: " + notASetting, "REALM: " + notASetting, "USERS: " + notASetting,
		}},
		{secrets + "REALM=a\"b USERS=al:ice,bob PASSWORD_BOB=sword\nfish", []string{
			fmt.Sprint("REALM: ", squid.CheckRealm(`a"b`)),
			fmt.Sprint("USERS[0]: ", squid.CheckUser("al:ice")),
			fmt.Sprint("PASSWORD_BOB: ", squid.CheckPassword("sword\nfish")),
		}},
	} {
		environ := []string{container.EnvDir + "=/", container.EnvAuth + "=" + string(squid.AuthDigest),
			container.EnvDigest + "=" + string(squid.DigestSquid)}
		for _, variable := range strings.Split(strings.TrimSpace(c.set), " ") {
			environ = append(environ, container.EnvPrefix+variable)
		}
		_, problems := readSettings(environ)
		got := strings.Join(problems, "\n")
		if strings.Contains(got, "fish") {
			t.Errorf("%s: repeats the password", got)
		}
		want := container.EnvPrefix + strings.Join(c.want, "\n"+container.EnvPrefix)
		if got != want {
			t.Errorf("%s:\n%s\nwant:\n%s", c.set, got, want)
		}
	}
}

// The package comment is the reference of the environment.
func TestPackageCommentNamesEverySetting(t *testing.T) {
	read := func(path string) string {
		content, err := os.ReadFile(path)
		must.OK(t, err)
		return string(content)
	}
	comment, _, _ := strings.Cut(read("main.go"), "\npackage main\n")
	declarations := read(filepath.Join("..", "container", "container.go"))
	names := regexp.MustCompile(`EnvPrefix \+ "(\w+)"`).FindAllStringSubmatch(declarations, -1)
	if len(names) < 11 {
		t.Errorf("found %d names, want all", len(names))
	}
	for _, name := range names {
		if !strings.Contains(comment, container.EnvPrefix+name[1]) {
			t.Errorf("the package comment does not name %s%s", container.EnvPrefix, name[1])
		}
	}
}
