package digest

import (
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"
)

// socket reads and writes the connection to Squid, TCP on loopback, without telling Go's scheduler
// of each system call. What os.File does for a blocking descriptor costs more than checking a
// password: the runtime's monitor thread wakes up fifty times a millisecond to see whether the call
// blocks. Here no call blocks; the poller waits. That halves the helper's share of a request.
type socket struct {
	conn net.Conn // kept open
	raw  syscall.RawConn
}

// openSocket uses a descriptor of its own, so that the stream's stays its owner's, but becomes
// non-blocking. It returns nil if the stream is not a socket: others share a terminal, for one, and
// do not expect it to become non-blocking.
func openSocket(stream any) *socket {
	file, isFile := stream.(*os.File)
	if !isFile {
		return nil
	}
	conn, err := net.FileConn(file)
	if err != nil {
		return nil
	}
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return nil
	}
	return &socket{conn, raw}
}

// Read returns io.EOF at the end, as every Reader.
func (s *socket) Read(b []byte) (int, error) {
	n, err := call(s.raw.Read, syscall.SYS_READ, b)
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

func (s *socket) Write(b []byte) (int, error) {
	written := 0
	for written < len(b) {
		n, err := call(s.raw.Write, syscall.SYS_WRITE, b[written:])
		if err != nil {
			return written, err
		}
		written += n
	}
	return written, nil
}

// call makes one system call on a non-blocking descriptor as soon as that is ready. There has to be
// room or something to write.
func call(ready func(func(uintptr) bool) error, number uintptr, b []byte) (n int, err error) {
	var errno syscall.Errno
	err = ready(func(fd uintptr) bool {
		for {
			var r uintptr
			r, _, errno = syscall.RawSyscall(number, fd, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
			if errno != syscall.EINTR {
				n = int(r)
				return errno != syscall.EAGAIN
			}
		}
	})
	if err == nil && errno != 0 {
		err = errno
	}
	if err != nil {
		n = 0
	}
	return n, err
}
