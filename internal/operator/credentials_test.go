package operator

import (
	"os/exec"
	"testing"
)

// The password of an image may hold anything, so the words are checked with a shell.
func TestQuoteIsOneWordToAShell(t *testing.T) {
	for _, word := range []string{"", "plain-1.x@y:z", "a b", "it's", "$HOME `id` \\ \"", "*", "ü", "'"} {
		out, err := exec.Command("sh", "-c", "printf %s "+Quote(word)).Output()
		if err != nil || string(out) != word {
			t.Errorf("%q: %q, %v", word, out, err)
		}
	}
	if got := Quote("alice:Ab1"); got != "alice:Ab1" {
		t.Errorf("a plain word became %s", got)
	}
}

func TestCredentialsWithoutAPageToTry(t *testing.T) {
	for command, want := range map[string]string{"": "", "curl --proxy x": "", "curl x http://y.example": "http://y.example", "curl https://y.example": "https://y.example"} {
		if got := tryURL(command); got != want {
			t.Errorf("%q: %q", command, got)
		}
	}
	c := &Credentials{Endpoint: "e.example:1"}
	u := c.user("a", "p@/ x")
	if u.Curl != "" || u.Environment["https_proxy"] != "http://a:p%40%2F%20x@e.example:1" {
		t.Errorf("%+v", u)
	}
}
