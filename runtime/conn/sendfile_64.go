//go:build !(386 || arm || mips || mipsle)

package conn

import "golang.org/x/sys/unix"

const sysSendfile = unix.SYS_SENDFILE
