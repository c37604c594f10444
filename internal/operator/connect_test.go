package operator

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"squidfleet/internal/must"
)

// closed is a body that is being sent and was closed, as smithy-go has it.
type closed struct{ io.Reader }

func (closed) WriteTo(io.Writer) (int64, error) { return 0, io.EOF }
func (closed) Close() error                     { return nil }

func TestAnAnswerMayComeBeforeTheEndOfTheBody(t *testing.T) {
	const size = 1 << 20
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, strings.Repeat("x", size))
	}))
	defer server.Close()
	environment(t, server.URL)
	cfg, err := Config(t.Context(), Options{})
	must.OK(t, err)
	r, err := http.NewRequest(http.MethodPost, server.URL, closed{strings.NewReader("Action=A")})
	must.OK(t, err)
	r.ContentLength = int64(len("Action=A"))
	answer, err := cfg.HTTPClient.Do(r)
	must.OK(t, err)
	defer answer.Body.Close()
	if n, err := io.Copy(io.Discard, answer.Body); n != size || err != nil {
		t.Errorf("%d of %d bytes, %v", n, size, err)
	}
}
