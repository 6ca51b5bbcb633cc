//go:build !linux

package virtual

import "net"

// quickAck does nothing where the option does not exist.
func quickAck(net.Conn) {}
