// Command nethttp fetches the URLs on its command line through $PROXY.
package main

import (
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
)

func main() {
	proxy, err := url.Parse(os.Getenv("PROXY"))
	if err != nil {
		log.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(proxy)}}
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
