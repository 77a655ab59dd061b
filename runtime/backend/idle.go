package backend

import (
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Idle keeps connections to an upstream between requests. Its fields do not change once it is used; its methods are safe for concurrent use.
type Idle[C any] struct {
	After time.Duration // how long one is kept
	Most  int           // how many are kept
	Quiet func(C) bool  // reports whether the upstream has neither sent anything nor closed it: see Quiet
	Drop  func(C)       // closes one

	mu     sync.Mutex
	kept   []kept[C]   // the one used last is the last
	timer  *time.Timer // drops those kept for too long; nil: none are kept
	closed bool
}

type kept[C any] struct {
	conn  C
	since time.Time
}

// Take returns the connection that was used last; false: there is none.
func (p *Idle[C]) Take() (c C, ok bool) {
	for {
		p.mu.Lock()
		last := len(p.kept) - 1
		if last < 0 {
			p.mu.Unlock()
			return c, false
		}
		one := p.kept[last].conn
		p.kept = slices.Delete(p.kept, last, last+1)
		p.mu.Unlock()
		if p.Quiet(one) {
			return one, true
		}
		p.Drop(one)
	}
}

// Put keeps a connection, which may drop another one.
func (p *Idle[C]) Put(c C) {
	p.mu.Lock()
	over := p.closed
	if !over {
		p.kept = append(p.kept, kept[C]{c, time.Now()})
		if over = len(p.kept) > p.Most; over {
			c = p.kept[0].conn
			p.kept = slices.Delete(p.kept, 0, 1)
		}
		if p.timer == nil {
			p.timer = time.AfterFunc(p.After, p.expire)
		}
	}
	p.mu.Unlock()
	if over {
		p.Drop(c)
	}
}

func (p *Idle[C]) expire() {
	p.mu.Lock()
	n := 0
	for n < len(p.kept) && time.Since(p.kept[n].since) >= p.After {
		n++
	}
	old := slices.Clone(p.kept[:n])
	p.kept = slices.Delete(p.kept, 0, n)
	p.timer = nil
	if len(p.kept) > 0 {
		p.timer = time.AfterFunc(p.After-time.Since(p.kept[0].since), p.expire)
	}
	p.mu.Unlock()
	for _, one := range old {
		p.Drop(one.conn)
	}
}

// Len returns how many connections are kept.
func (p *Idle[C]) Len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.kept)
}

// Close drops the connections that are kept, and later those that are put.
func (p *Idle[C]) Close() {
	p.mu.Lock()
	all := p.kept
	p.kept, p.closed = nil, true
	if p.timer != nil {
		p.timer.Stop()
	}
	p.mu.Unlock()
	for _, one := range all {
		p.Drop(one.conn)
	}
}

// Quiet reports whether a connection is open and has nothing to read.
func Quiet(conn net.Conn) bool {
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	quiet := false
	err = raw.Control(func(fd uintptr) {
		_, _, err := unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
		quiet = err == unix.EAGAIN
	})
	return err == nil && quiet
}
