package main

import (
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// renouncePrivileges keeps this process and its descendants from gaining privileges by setuid files
// or file capabilities. The image has neither; an intruder's own files gain nothing either.
// Container engines have an option for it, Fargate does not. The kernel keeps the flag per thread
// and passes it on to children and over exec, so every thread of Go's runtime needs it.
func renouncePrivileges() error {
	if _, _, errno := syscall.AllThreadsSyscall(syscall.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0); errno != 0 {
		return fmt.Errorf("prctl(PR_SET_NO_NEW_PRIVS): %w", errno)
	}
	return nil
}

// withoutConntrack keeps this process and its descendants from asking netfilter. Squid asks it
// about each connection that it accepts, with eight system calls, for the sake of marks that no
// configuration of ours looks at. An unprivileged process gets no answer anyway. With a socket that
// cannot be opened Squid goes on at once, which makes a small tunnel cheaper.
//
// Nothing depends on the filter, so a kernel without filters is no error.
func withoutConntrack() {
	// Offsets in struct seccomp_data of <linux/seccomp.h>: the call's number, then from 16 on its
	// arguments of 8 bytes. Fargate's processors are little-endian.
	const number, family, protocol = 0, 16, 32
	load := func(offset uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
	}
	skipUnless := func(value uint32, skip uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: value, Jf: skip}
	}
	end := func(result uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: result}
	}
	filter := []unix.SockFilter{
		load(number), skipUnless(unix.SYS_SOCKET, 5),
		load(family), skipUnless(unix.AF_NETLINK, 3),
		load(protocol), skipUnless(unix.NETLINK_NETFILTER, 1),
		end(unix.SECCOMP_RET_ERRNO | uint32(unix.EPROTONOSUPPORT)),
		end(unix.SECCOMP_RET_ALLOW),
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC,
		uintptr(unsafe.Pointer(&program)))
}
