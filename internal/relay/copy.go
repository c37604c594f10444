package relay

import (
	"bufio"
	"io"
	"net"
	"net/http/httputil"
	"sync"
	"sync/atomic"
	"syscall"
)

var (
	readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 4<<10) }}
	writers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, 4<<10) }}
	blocks  = sync.Pool{New: func() any { return new(block) }}
)

// block is what is copied at a time where the kernel does not do it.
type block [16 << 10]byte

func newReader(from io.Reader) *bufio.Reader {
	r := readers.Get().(*bufio.Reader)
	r.Reset(from)
	return r
}

// release gives a reader back, if there is one.
func release(r *bufio.Reader) {
	if r != nil {
		r.Reset(nil)
		readers.Put(r)
	}
}

// closeWrite ends a connection's own half.
func closeWrite(conn net.Conn) error { return conn.(interface{ CloseWrite() error }).CloseWrite() }

// writeTo has a function write into a buffer, and sends it.
func writeTo(to io.Writer, write func(w *bufio.Writer)) error {
	w := writers.Get().(*bufio.Writer)
	w.Reset(to)
	write(w)
	err := w.Flush()
	w.Reset(nil)
	writers.Put(w)
	return err
}

// transfer sends a head, if there is one, and its body: together what the reader has of it, and
// then the rest from the connection behind the reader, by the kernel if both ends are TCP's. It
// returns how much of the body was sent. Chunks stay chunks if chunked is set; trailers are
// dropped.
func transfer(to io.Writer, head func(w *bufio.Writer), r *bufio.Reader, from io.Reader, b body,
	chunked bool) (n int64, err error) {
	if !b.chunked {
		n = int64(r.Buffered())
	}
	if b.length >= 0 {
		n = min(n, b.length)
	}
	if err := writeTo(to, func(w *bufio.Writer) {
		if head != nil {
			head(w)
		}
		io.CopyN(w, r, n)
	}); err != nil {
		return 0, err
	}
	var rest int64
	switch {
	case b.chunked:
		return copyChunks(to, r, chunked)
	case b.length < 0:
		rest, err = io.Copy(to, from)
	case b.length > n:
		rest, err = io.CopyN(to, from, b.length-n)
	}
	return n + rest, err
}

// copyChunks copies chunk after chunk, each as soon as it is there.
func copyChunks(to io.Writer, r *bufio.Reader, chunked bool) (n int64, err error) {
	from := httputil.NewChunkedReader(r)
	b := blocks.Get().(*block)
	defer blocks.Put(b)
	for err == nil {
		var got int
		got, err = from.Read(b[:])
		n += int64(got)
		wrong := writeTo(to, func(w *bufio.Writer) {
			if !chunked {
				w.Write(b[:got])
			} else if got > 0 {
				httputil.NewChunkedWriter(w).Write(b[:got])
			}
		})
		if wrong != nil {
			return n, wrong
		}
	}
	if err != io.EOF {
		return n, err
	}
	if _, err = readLines(r, maxRequestHead); err == nil && chunked {
		_, err = io.WriteString(to, "0\r\n\r\n")
	}
	return n, err
}

// join copies both ways until both have ended. What the readers have goes first; they are given
// back. An end goes on as the end of that half; an error ends both.
func join(client *net.TCPConn, r *bufio.Reader, l *link) (sent, received int64) {
	var over atomic.Bool // one half
	half := func(to, from net.Conn, r *bufio.Reader) (n int64) {
		early, _ := r.Peek(r.Buffered())
		err := writeTo(to, func(w *bufio.Writer) { w.Write(early) })
		n = int64(len(early))
		release(r)
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

// copyAll copies until the end; from TCP to TCP the kernel does it, once there is much.
func copyAll(to, from net.Conn) (n int64, err error) {
	kernel, is := to.(*net.TCPConn)
	if source, also := from.(*net.TCPConn); is && also {
		for got := 0; err == nil && got < len(block{}); n += int64(got) {
			got, err = copyPiece(to, source)
		}
		if err == nil {
			var rest int64
			rest, err = kernel.ReadFrom(from)
			n += rest
		}
		if err == io.EOF {
			err = nil
		}
		return n, err
	}
	b := blocks.Get().(*block)
	defer blocks.Put(b)
	// Without their ways of copying, which have larger buffers.
	return io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{from}, b[:])
}

// copyPiece copies what comes next. It needs a block only then, and no pipe: Linux gives a user
// other than root few pipes of full size, and each takes 16 kB of the kernel's memory.
func copyPiece(to io.Writer, from *net.TCPConn) (n int, err error) {
	raw, err := from.SyscallConn()
	if err != nil {
		return 0, err
	}
	var b *block
	closed := raw.Read(func(fd uintptr) bool {
		b = blocks.Get().(*block)
		if n, err = syscall.Read(int(fd), b[:]); err == syscall.EAGAIN {
			blocks.Put(b)
		}
		return err != syscall.EAGAIN
	})
	if closed != nil {
		return 0, closed
	}
	defer blocks.Put(b)
	switch {
	case err != nil:
		return 0, err
	case n == 0:
		return 0, io.EOF
	}
	return to.Write(b[:n])
}
