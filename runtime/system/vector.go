package system

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Vector is the memory for a sendmsg(2) of up to three pieces. Its zero value is ready.
type Vector struct {
	msg unix.Msghdr
	iov [3]unix.Iovec
}

// Send is sendmsg(2). It returns unix.EAGAIN if there is no room.
func (v *Vector) Send(fd int, pieces ...[]byte) (int, error) {
	k := 0
	for _, b := range pieces {
		if len(b) > 0 {
			v.iov[k].Base = unsafe.SliceData(b)
			v.iov[k].SetLen(len(b))
			k++
		}
	}
	v.msg = unix.Msghdr{Iov: &v.iov[0]}
	v.msg.SetIovlen(k)
	defer clear(v.iov[:])
	return sendMessage(fd, &v.msg)
}

// MaxPieces is the maximum number of pieces that Pieces can send at once.
const MaxPieces = 64

// Pieces is the memory for one write of up to MaxPieces pieces. Its zero value is ready.
type Pieces struct {
	first []byte // a single piece costs no vector
	n     int
	iov   [MaxPieces]unix.Iovec
}

// Add adds a piece, which may be empty and must not change until Send.
func (p *Pieces) Add(b []byte) {
	if len(b) == 0 {
		return
	}
	if p.n == 0 {
		p.first = b
	}
	p.iov[p.n].Base = unsafe.SliceData(b)
	p.iov[p.n].SetLen(len(b))
	p.n++
}

// Send writes all pieces, and forgets them. It returns the number of bytes that were taken, and unix.EAGAIN if there is no room.
func (p *Pieces) Send(fd int) (n int, err error) {
	switch p.n {
	case 0:
		return 0, nil
	case 1:
		n, err = Send(fd, p.first, 0)
	default:
		msg := unix.Msghdr{Iov: &p.iov[0]}
		msg.SetIovlen(p.n)
		n, err = sendMessage(fd, &msg)
	}
	clear(p.iov[:p.n])
	p.first, p.n = nil, 0
	return n, err
}

func sendMessage(fd int, msg *unix.Msghdr) (int, error) {
	for {
		n, _, e := syscall.RawSyscall(unix.SYS_SENDMSG, uintptr(fd),
			uintptr(unsafe.Pointer(msg)), unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		if e == 0 {
			return int(n), nil
		}
		if e != unix.EINTR {
			return 0, e
		}
	}
}
