package paste

import (
	"os/exec"
	"testing"
)

func TestWordIsOneWordToAShell(t *testing.T) {
	for _, word := range []string{
		"", "plain-1.x@y:z", "a b", "it's", "$HOME `id` \\ \"", "*", "ü", "'", "%41", "~", "!x",
	} {
		out, err := exec.Command("sh", "-c", "printf %s "+Word(word)).Output()
		if err != nil || string(out) != word {
			t.Errorf("%q: %q, %v", word, out, err)
		}
	}
	if got := Word("alice:Ab1"); got != "alice:Ab1" {
		t.Errorf("a plain word became %s", got)
	}
}
