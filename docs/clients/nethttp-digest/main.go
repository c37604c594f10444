// Command nethttp-digest fetches the URLs on its command line through $PROXY, with Digest. It needs
// digest=fleet, whose nonces hold for 30 minutes on every task.
package main

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/icholy/digest"
)

// proxy signs what it sends.
type proxy struct {
	url      *url.URL // without the user
	user     *url.Userinfo
	requests *http.Transport

	mu        sync.Mutex
	challenge *digest.Challenge
	until     time.Time
	count     int
}

func newProxy(address string) (*proxy, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	p := &proxy{url: u, user: u.User}
	p.url.User = nil
	p.requests = &http.Transport{Proxy: http.ProxyURL(p.url)}
	p.requests.GetProxyConnectHeader = func(_ context.Context, _ *url.URL, target string) (http.Header, error) {
		signed, err := p.sign(http.MethodConnect, target)
		return http.Header{"Proxy-Authorization": {signed}}, err
	}
	return p, nil
}

// RoundTrip signs plain requests. Tunnels have GetProxyConnectHeader.
func (p *proxy) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == "http" {
		signed, err := p.sign(r.Method, r.URL.RequestURI())
		if err != nil {
			return nil, err
		}
		r = r.Clone(r.Context())
		r.Header.Set("Proxy-Authorization", signed)
	}
	return p.requests.RoundTrip(r)
}

func (p *proxy) sign(method, target string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Now().After(p.until) {
		asking := http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(p.url)}}
		answer, err := asking.Get("http://example.com/")
		if err != nil {
			return "", err
		}
		answer.Body.Close()
		if p.challenge, err = digest.ParseChallenge(answer.Header.Get("Proxy-Authenticate")); err != nil {
			return "", err
		}
		p.until, p.count = time.Now().Add(25*time.Minute), 0
	}
	p.count++
	password, _ := p.user.Password()
	signed, err := digest.Digest(p.challenge, digest.Options{
		Method: method, URI: target, Count: p.count, Username: p.user.Username(), Password: password,
	})
	if err != nil {
		return "", err
	}
	return signed.String(), nil
}

func main() {
	p, err := newProxy(os.Getenv("PROXY"))
	if err != nil {
		log.Fatal(err)
	}
	client := http.Client{Transport: p}
	for _, address := range os.Args[1:] {
		answer, err := client.Get(address)
		if err != nil {
			log.Fatal(err)
		}
		io.Copy(os.Stdout, answer.Body)
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			log.Fatal(address, ": ", answer.Status)
		}
	}
}
