package digest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"squidfleet/internal/must"
)

// socketPair returns two ends of a stream, the first as a file like those of Squid's helpers.
func socketPair(t *testing.T) (*os.File, net.Conn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	must.OK(t, err)
	file, peer := os.NewFile(uintptr(fds[0]), "helper"), os.NewFile(uintptr(fds[1]), "squid")
	conn, err := net.FileConn(peer)
	must.OK(t, err)
	peer.Close()
	t.Cleanup(func() { conn.Close() })
	return file, conn
}

type slowReader struct {
	io.Reader
	most int
}

func (r *slowReader) Read(b []byte) (int, error) { return r.Reader.Read(b[:min(len(b), r.most)]) }

func TestSocketErrors(t *testing.T) {
	file, squid := socketPair(t)
	s := openSocket(file)
	file.Close()
	squid.Close()
	if n, err := s.Read(make([]byte, 10)); n != 0 || err != io.EOF {
		t.Errorf("reading: %d, %v", n, err)
	}
	if n, err := s.Write([]byte("x")); n != 0 || !errors.Is(err, syscall.EPIPE) {
		t.Errorf("writing: %d, %v", n, err)
	}
}

func TestOtherFilesStayAsTheyAre(t *testing.T) {
	r, w, err := os.Pipe()
	must.OK(t, err)
	defer r.Close()
	if openSocket(r) != nil {
		t.Error("a pipe is taken for a socket")
	}
	w.Close()
	if openSocket(w) != nil {
		t.Error("a closed file is taken for a socket")
	}
}

// As Squid starts it: standard input and output are one socket. More than fits in its buffers goes
// each way, so that both directions have to wait, and answers are written in parts.
func TestCommandOnASocket(t *testing.T) {
	dir := t.TempDir()
	data := passwordFile(testRealm, map[string]string{"proxy": testPassword}, MD5)
	err := errors.Join(os.WriteFile(dir+"/passwords", []byte(data), 0o600),
		os.WriteFile(dir+"/keys", []byte(testKey), 0o600))
	must.OK(t, err)
	file, squid := socketPair(t)
	defer file.Close()
	code := make(chan int)
	args := []string{"-passwords", dir + "/passwords", "-keys", dir + "/keys"}
	go func() { code <- Command(t.Context(), args, file, file, io.Discard) }()
	const n = 20_000
	go func() {
		w := bufio.NewWriter(squid)
		for id := range n {
			fmt.Fprintf(w, "%d - 198.51.100.7 GET http://origin.example/ - \n", id)
		}
		w.Flush()
		squid.(*net.UnixConn).CloseWrite()
	}()
	answers := bufio.NewScanner(&slowReader{squid, 1000})
	for id := range n {
		if !answers.Scan() || !strings.HasPrefix(answers.Text(), fmt.Sprint(id, " ERR ")) ||
			!strings.HasSuffix(answers.Text(), "log=no-credentials") {
			t.Fatalf("%d: %q, %v", id, answers.Text(), answers.Err())
		}
	}
	if got := <-code; got != 0 {
		t.Errorf("code %d", got)
	}
}
