package digest

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
)

// socketPair returns two ends of a stream, the first as a file like those of Squid's helpers.
func socketPair(t *testing.T) (*os.File, net.Conn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	file, peer := os.NewFile(uintptr(fds[0]), "helper"), os.NewFile(uintptr(fds[1]), "squid")
	conn, err := net.FileConn(peer)
	if err != nil {
		t.Fatal(err)
	}
	peer.Close()
	t.Cleanup(func() { conn.Close() })
	return file, conn
}

func TestHelperOnASocket(t *testing.T) {
	file, squid := socketPair(t)
	s := openSocket(file)
	if s == nil {
		t.Fatal("not taken for a socket")
	}
	v, _ := newVerifier(t, nil)
	good := newAttempt(nonceFor(t, v, testClient))
	file.Close()
	done := make(chan error, 1)
	go func() {
		done <- Serve(t.Context(), s, s, v)
		s.file.Close()
	}()

	// More than fits in the socket's buffers, so that both directions have to wait.
	const n = 20_000
	go func() {
		w := bufio.NewWriter(squid)
		for id := range n {
			w.WriteString(good.line(id))
		}
		w.Flush()
		squid.(*net.UnixConn).CloseWrite()
	}()
	answers, err := io.ReadAll(&slowReader{squid, 1000})
	if err == nil {
		err = <-done
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := bytes.Count(answers, []byte(" OK user=proxy\n")); got != n {
		t.Errorf("%d answers", got)
	}
}

// slowReader reads in small pieces.
type slowReader struct {
	io.Reader
	most int
}

func (r *slowReader) Read(b []byte) (int, error) { return r.Reader.Read(b[:min(len(b), r.most)]) }

func TestSocketWritesEverything(t *testing.T) {
	file, squid := socketPair(t)
	s := openSocket(file)
	file.Close()
	want := bytes.Repeat([]byte("0123456789"), 200_000)
	done := make(chan error, 1)
	go func() {
		n, err := s.Write(want)
		if err == nil && n != len(want) {
			err = io.ErrShortWrite
		}
		done <- errors.Join(err, s.file.Close())
	}()
	got, err := io.ReadAll(squid)
	if err == nil {
		err = <-done
	}
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d of %d bytes, %v", len(got), len(want), err)
	}
}

func TestSocketErrors(t *testing.T) {
	file, squid := socketPair(t)
	s := openSocket(file)
	file.Close()
	if n, err := s.Read(nil); n != 0 || err != nil {
		t.Errorf("reading nothing: %d, %v", n, err)
	}
	squid.Close()
	if n, err := s.Read(make([]byte, 10)); n != 0 || err != io.EOF {
		t.Errorf("reading: %d, %v", n, err)
	}
	if n, err := s.Write([]byte("x")); n != 0 || !errors.Is(err, syscall.EPIPE) {
		t.Errorf("writing: %d, %v", n, err)
	}
	if err := s.file.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Read(make([]byte, 10)); n != 0 || err == nil || err == io.EOF {
		t.Errorf("reading what is closed: %d, %v", n, err)
	}
}

func TestOtherFilesStayAsTheyAre(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if openSocket(r) != nil {
		t.Error("a pipe is taken for a socket")
	}
	w.Close()
	w.Close()
	if openSocket(w) != nil {
		t.Error("a closed file is taken for a socket")
	}
}

// As Squid starts it: standard input and output are one socket.
func TestCommandOnASocket(t *testing.T) {
	dir := t.TempDir()
	data := passwordFile(User{Name: "proxy", Password: testPassword})
	err := errors.Join(os.WriteFile(dir+"/passwords", data, 0o600), os.WriteFile(dir+"/keys", []byte(testKey), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	file, squid := socketPair(t)
	fd, err := syscall.Dup(int(file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	out := os.NewFile(uintptr(fd), "out")
	defer out.Close()
	defer file.Close()
	code := make(chan int)
	go func() {
		args := []string{"-passwords", dir + "/passwords", "-keys", dir + "/keys"}
		code <- Command(t.Context(), args, file, out, io.Discard)
	}()
	io.WriteString(squid, "1 - 198.51.100.7 GET http://origin.example/ - \n")
	line, err := bufio.NewReader(squid).ReadString('\n')
	if err != nil || !strings.HasSuffix(line, "log=no-credentials\n") {
		t.Errorf("%q, %v", line, err)
	}
	squid.Close()
	if got := <-code; got != 0 {
		t.Errorf("code %d", got)
	}
}
