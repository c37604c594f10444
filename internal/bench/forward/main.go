// Command forward sends each TCP connection on to an address and does nothing else: what any hop in
// Go costs at least.
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"os"
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprintf(os.Stderr, "forward listens on %s, for %s\n", listener.Addr(), os.Args[1])
	for {
		client, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			defer client.Close()
			server, err := net.Dial("tcp", os.Args[1])
			if err != nil {
				log.Print(err)
				return
			}
			defer server.Close()
			go pipe(server, client)
			pipe(client, server)
		}()
	}
}

// pipe copies until the end, and ends that half.
func pipe(to, from net.Conn) {
	io.Copy(to, from)
	to.(*net.TCPConn).CloseWrite()
}
