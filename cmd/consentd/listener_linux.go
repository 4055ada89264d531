package main

import (
	"net"

	"golang.org/x/sys/unix"
)

// On Linux a filter on the socket makes the end exact: what the kernel has taken is
// answered, and what comes later is dropped before it is taken, so that the
// client's kernel sends it again and learns that nobody listens.

// dropOpening drops the first segment of a connection (SYN without ACK) and lets the rest pass.
// A socket's filter sees a segment from its TCP header on; the flags are its 14th byte.
var dropOpening = []unix.SockFilter{
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 13},
	{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: 0x12},
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: 0x02, Jt: 0, Jf: 1},
	{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	{Code: unix.BPF_RET | unix.BPF_K, K: 1 << 18},
}

var dropAll = []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}

func attach(fd uintptr, program []unix.SockFilter) error {
	return unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
}

// refuseNew lets no connection begin, and tells whether it could; those that have begun go on.
func refuseNew(l *net.TCPListener) bool {
	raw, err := l.SyscallConn()
	if err != nil {
		return false
	}
	controlErr := raw.Control(func(fd uintptr) { err = attach(fd, dropOpening) })
	return controlErr == nil && err == nil
}

// lastRead takes what has arrived, without waiting. Where nothing has, nothing can arrive any more.
func lastRead(c *net.TCPConn, p []byte) (n int) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) {
		_ = attach(fd, dropAll)      // where there are no filters, the moment before the close stays open
		n, _ = unix.Read(int(fd), p) // not blocking: an error is "nothing there"
		if n > 0 {
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
		}
	})
	return max(n, 0)
}
