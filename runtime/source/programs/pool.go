package programs

import (
	"context"
	"net"
	"sync"
	"syscall"
	"time"
)

// pool keeps links that no request uses.
type pool struct {
	dial  func(ctx context.Context) (*Link, error)
	after time.Duration // an idle link is dropped

	mu     sync.Mutex
	links  []*Link // the one used last is the last
	closed bool
}

// get returns a link; served of a new one is 0.
func (p *pool) get(ctx context.Context) (*Link, error) {
	for {
		p.mu.Lock()
		n := len(p.links) - 1
		if n < 0 {
			p.mu.Unlock()
			return p.dial(ctx)
		}
		l := p.links[n]
		p.links = p.links[:n]
		p.mu.Unlock()
		l.idle.Stop()
		if !stale(l.Conn) {
			return l, nil
		}
		l.drop(false)
	}
}

// idle returns the number of links that no request uses.
func (p *pool) idle() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

// put takes a link back.
func (p *pool) put(l *Link) {
	l.served++
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		l.drop(false)
		return
	}
	defer p.mu.Unlock()
	p.links = append(p.links, l)
	if l.idle == nil {
		l.idle = time.AfterFunc(p.after, func() { p.expire(l) })
	} else {
		l.idle.Reset(p.after)
	}
}

// expire drops a link that has been idle for too long.
func (p *pool) expire(l *Link) {
	p.mu.Lock()
	for i, other := range p.links {
		if other == l {
			p.links = append(p.links[:i], p.links[i+1:]...)
			p.mu.Unlock()
			l.drop(false)
			return
		}
	}
	p.mu.Unlock()
}

// close drops the links, now or when their requests have ended.
func (p *pool) close() {
	p.mu.Lock()
	links := p.links
	p.links, p.closed = nil, true
	p.mu.Unlock()
	for _, l := range links {
		l.idle.Stop()
		l.drop(false)
	}
}

// stale reports whether the other side has closed an idle connection, or has sent bytes that belong to no request.
func stale(conn net.Conn) bool {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return true
	}
	quiet := false
	err = raw.Control(func(fd uintptr) {
		var one [1]byte
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		quiet = err == syscall.EAGAIN
	})
	return err != nil || !quiet
}
