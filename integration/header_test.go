package integration

import (
	"net/http"
	"strings"
	"testing"
)

// Odd requests and credentials are answered as the table says. No credentials reach the
// destination.
func TestOddCredentials(t *testing.T) {
	w := newWorld(t)
	task := startTask(t, options(nil))
	nobody := anonymous(task)
	nonce := freshNonce(t, nobody)
	right := answer(nonce, "00000001", "GET", "/")
	wrong := strings.Replace(right, `response="`, `response="0`, 1)
	for _, c := range []struct {
		name    string
		target  string
		headers []string
		want    int
		reason  string
	}{
		{"a right header", "http://origin.example/", []string{right}, served, ""},
		// Squid gives the helper the first of several, and forwards none.
		{"a right header before a wrong one", "http://origin.example/", []string{right, wrong}, served, ""},
		{"a wrong header before a right one", "http://origin.example/",
			[]string{wrong, right}, 407, "header-malformed"},
		{"another scheme before a right one", "http://origin.example/",
			[]string{"Proxy-Authorization: Basic YWxpY2U6eA==", right}, 407, "not-digest"},
		{"a space in the URL", "http://origin.example/a b?query=swordfish",
			[]string{answer(nonce, "00000001", "GET", "/a b?query=swordfish")}, http.StatusBadRequest, ""},
	} {
		response, err := nobody.Request("GET", c.target, c.headers...)
		if err != nil || response.StatusCode != c.want {
			t.Errorf("%s: %+v, %v", c.name, response, err)
			continue
		}
		if head := w.origins.LastHead(); strings.Contains(strings.ToLower(head), "proxy-authorization") {
			t.Errorf("%s: the destination got\n%s", c.name, head)
		}
		if c.reason != "" {
			task.WaitForLog(t, c.name, func(line string) bool {
				return strings.Contains(line, `"auth":"`+c.reason+`"`)
			})
		}
	}
	task.WaitForLog(t, "the last request's", func(line string) bool { return strings.Contains(line, `"status":400`) })
	if log := strings.Join(task.Log(), "\n") + task.Errors(); strings.Contains(log, "swordfish") {
		t.Errorf("a query is in the log:\n%s", log)
	}
}
