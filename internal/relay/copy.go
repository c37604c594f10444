package relay

import (
	"bufio"
	"io"
	"net"
	"net/http/httputil"
	"sync"
	"sync/atomic"
)

// copyBody copies a body: what the reader has of it, and the rest from the connection behind it, by
// the kernel if both ends are TCP's. Chunks stay chunks if chunked is set. Trailers are dropped.
func copyBody(to io.Writer, r *bufio.Reader, from io.Reader, b body, chunked bool) (n int64, err error) {
	if b.chunked {
		return copyChunks(to, r, chunked)
	}
	have := int64(r.Buffered())
	if b.length >= 0 {
		have = min(have, b.length)
	}
	if n, err = io.CopyN(to, r, have); err != nil {
		return n, err
	}
	var rest int64
	if b.length < 0 {
		rest, err = io.Copy(to, from)
	} else {
		rest, err = io.CopyN(to, from, b.length-have)
	}
	return n + rest, err
}

var blocks = sync.Pool{New: func() any { return new([16 << 10]byte) }}

// copyChunks copies chunk after chunk, each as soon as it is there.
func copyChunks(to io.Writer, r *bufio.Reader, chunked bool) (n int64, err error) {
	from := httputil.NewChunkedReader(r)
	block := blocks.Get().(*[16 << 10]byte)
	defer blocks.Put(block)
	for {
		got, err := from.Read(block[:])
		if got > 0 {
			n += int64(got)
			wrong := writeTo(to, func(w *bufio.Writer) {
				if chunked {
					httputil.NewChunkedWriter(w).Write(block[:got])
				} else {
					w.Write(block[:got])
				}
			})
			if wrong != nil {
				return n, wrong
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return n, err
		}
	}
	for left := maxRequestHead; ; {
		line, err := readLine(r, &left)
		if err != nil {
			return n, err
		}
		if line == "" {
			break
		}
	}
	if chunked {
		_, err = io.WriteString(to, "0\r\n\r\n")
	}
	return n, err
}

// join copies both ways until both have ended. What the readers have goes first; they are given
// back. An end goes on as the end of that half; an error ends both.
func join(client *net.TCPConn, r *bufio.Reader, l *link) (sent, received int64) {
	var over atomic.Bool // one half
	half := func(to, from net.Conn, r *bufio.Reader) int64 {
		n, err := flush(to, r)
		if err == nil {
			var rest int64
			rest, err = copyAll(to, from)
			n += rest
		}
		if last := over.Swap(true); err == nil && !last {
			err = closeWrite(to)
		}
		if err != nil {
			client.Close()
			l.Close()
		}
		return n
	}
	var up sync.WaitGroup
	up.Go(func() { sent = half(l.Conn, client, r) })
	received = half(client, l.Conn, l.r)
	l.r = nil
	up.Wait()
	return sent, received
}

// flush writes what a reader holds and gives it back.
func flush(to io.Writer, r *bufio.Reader) (n int64, err error) {
	if have := r.Buffered(); have > 0 {
		n, err = io.CopyN(to, r, int64(have))
	}
	release(r)
	return n, err
}

// copyAll copies until the end; from TCP to TCP the kernel does it.
func copyAll(to, from net.Conn) (int64, error) {
	if tcp, is := to.(*net.TCPConn); is {
		if _, is := from.(*net.TCPConn); is {
			return tcp.ReadFrom(from)
		}
	}
	block := blocks.Get().(*[16 << 10]byte)
	defer blocks.Put(block)
	// Without their ways of copying, which have larger buffers.
	return io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{from}, block[:])
}
