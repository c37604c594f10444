package operator

import "testing"

func TestCredentialsWithoutAPageToTry(t *testing.T) {
	for command, want := range map[string]string{
		"": "", "curl --proxy x": "",
		"curl x http://y.example": "http://y.example", "curl https://y.example": "https://y.example",
	} {
		if got := tryURL(command); got != want {
			t.Errorf("%q: %q", command, got)
		}
	}
	c := &Credentials{Endpoint: "e.example:1", Addresses: []AddressProxy{{7, "e.example:8"}}}
	u := c.Login("a", "p@/ x")
	if u.Curl != "" || u.Environment["https_proxy"] != "http://a:p%40%2F%20x@e.example:1" ||
		u.Addresses[0] != (AddressProxy{7, "http://a:p%40%2F%20x@e.example:8"}) {
		t.Errorf("%+v", u)
	}
}
