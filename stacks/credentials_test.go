package stacks

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestEachUserHasAGeneratedPasswordAndTheFleetAKeyThatGoWithTheStack(t *testing.T) {
	for name, want := range map[string]struct{ users, keys int }{"default": {1, 1}, "full": {3, 1}, "image": {0, 1}, "squid": {1, 0}} {
		proxy := synth(t, everyFleet[name]).proxy
		ids := proxy.ids("AWS::SecretsManager::Secret")
		if len(ids) != want.users+want.keys {
			t.Errorf("%s: secrets %v, want %+v", name, ids, want)
		}
		keys := 0
		for _, id := range ids {
			secret := proxy.Resources[id]
			length := 32
			if strings.HasPrefix(id, "DigestKey") {
				keys++
				length = 64
			}
			equal(t, id, without(secret.Properties, "Description"), fmt.Sprintf(`{"GenerateSecretString": {"ExcludePunctuation": true, "PasswordLength": %d}}`, length))
			if secret.DeletionPolicy != "Delete" {
				t.Errorf("%s: deletion policy %q", id, secret.DeletionPolicy)
			}
		}
		if keys != want.keys {
			t.Errorf("%s: %d keys, want %d", name, keys, want.keys)
		}
	}
}

// The CDK has names of its own among constructs.
func TestUsersMayHaveTheNamesOfConstructs(t *testing.T) {
	if ids := synth(t, only("users", "Resource,Default")).proxy.ids("AWS::SecretsManager::Secret"); len(ids) != 3 {
		t.Errorf("secrets %v, want two passwords and a key", ids)
	}
}

func TestECSHandsOverEachUsersOwnPassword(t *testing.T) {
	proxy := synth(t, full).proxy
	var got []string
	seen := map[string]bool{}
	for _, entry := range proxy.container(t)["Secrets"].([]any) {
		secret := entry.(map[string]any)
		got = append(got, secret["Name"].(string))
		id := ref(secret["ValueFrom"])
		if proxy.Resources[id].Type != "AWS::SecretsManager::Secret" || seen[id] {
			t.Errorf("%s comes from %v", secret["Name"], secret["ValueFrom"])
		}
		seen[id] = true
	}
	if want := []string{"SQUIDFLEET_PASSWORD_ALICE", "SQUIDFLEET_PASSWORD_B_O_B", "SQUIDFLEET_PASSWORD_BO_B", "SQUIDFLEET_DIGEST_KEYS"}; !slices.Equal(got, want) {
		t.Errorf("variables %q, want %q", got, want)
	}
	image := synth(t, everyFleet["image"]).proxy
	equal(t, "with credentials=image", image.container(t)["Secrets"], fmt.Sprintf(`[{"Name": "SQUIDFLEET_DIGEST_KEYS", "ValueFrom": {"Ref": %q}}]`, image.ids("AWS::SecretsManager::Secret")[0]))
}

func TestPasswordFileIsInTheImageOnlyWhenAskedFor(t *testing.T) {
	for name, changes := range everyFleet {
		_, err := os.Stat(filepath.Join(synth(t, changes).image, "passwords"))
		if inside := err == nil; inside != strings.HasPrefix(name, "image") {
			t.Errorf("%s: password file in the image: %v", name, inside)
		}
	}
}

func TestNoPasswordIsAnywhereInTheAssembly(t *testing.T) {
	a := synth(t, everyFleet["image"])
	files, hashed := 0, false
	err := filepath.WalkDir(a.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		files++
		hashed = hashed || strings.Contains(string(text), "alice:squidfleet:")
		if strings.Contains(string(text), plaintext) {
			t.Errorf("%s holds the password", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 50 || !hashed {
		t.Errorf("searched %d files, password hash among them: %v", files, hashed)
	}
}
