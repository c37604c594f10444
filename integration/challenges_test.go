package integration

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	digests "github.com/icholy/digest"

	"squidfleet/squid"
)

// challengeProblems tells what is wrong with a task's offers: each has to be new and answerable.
func challengeProblems(task *squidTask) (problems []string) {
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	offers := []string{"MD5"}
	if task.Params.Digest == squid.DigestFleet {
		offers = []string{"SHA-256", "MD5"}
	}
	stranger := client(task)
	stranger.User = ""
	var nonces []string
	for range 2 {
		response, err := stranger.Request("GET", "http://origin.example/")
		if err != nil || response.StatusCode != 407 {
			wrong("a request without credentials: %+v, %v", response, err)
			continue
		}
		var algorithms []string
		for _, text := range response.Header.Values("Proxy-Authenticate") {
			challenge, err := digests.ParseChallenge(text)
			if err != nil {
				wrong("challenge %q: %v", text, err)
				continue
			}
			algorithms, nonces = append(algorithms, cmp.Or(challenge.Algorithm, "MD5")), append(nonces, challenge.Nonce)
		}
		if !slices.Equal(algorithms, offers) {
			wrong("challenges for %q, want %q", algorithms, offers)
		}
	}
	slices.Sort(nonces)
	if len(slices.Compact(nonces)) != 2 {
		wrong("two challenges hold the nonces %q, want two", nonces)
	}
	for _, algorithm := range offers {
		c := client(task)
		c.Algorithm = algorithm
		if response, err := c.Request("GET", "http://origin.example/"); err != nil || response.StatusCode != served {
			wrong("with %s: %+v, %v", algorithm, response, err)
		}
	}
	return problems
}

func TestEachChallengeIsNewAndCanBeAnswered(t *testing.T) {
	inBothModes(t, func(t *testing.T, mode map[string]any) {
		newWorld(t)
		task := startTask(t, options(mode))
		for _, problem := range challengeProblems(task) {
			t.Error(problem)
		}
	})
}
