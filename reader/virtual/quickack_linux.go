package virtual

import (
	"net"
	"syscall"
)

// quickAck asks the kernel to acknowledge at once what arrives next. The
// kernel forgets the wish, so it is renewed before every read. It is a matter
// of speed only: errors are of no interest. See firmware-notes/os/pcscd.md.
func quickAck(conn net.Conn) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1)
	})
}
