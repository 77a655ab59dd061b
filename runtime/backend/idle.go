package backend

import (
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Idle keeps idle connections to an upstream. The fields of Idle must not change after the first use. Idle is safe for
// concurrent use.
type Idle[C any] struct {
	After time.Duration
	Most  int
	// Quiet reports whether a connection is open and has no unread data, like the function Quiet of this package.
	Quiet func(C) bool
	Drop  func(C)

	mu     sync.Mutex
	kept   []*kept[C] // idle connections in the order of their last use
	closed bool
}

type kept[C any] struct {
	conn  C
	timer *time.Timer
}

// Take returns an idle connection, or false if there is none.
func (p *Idle[C]) Take() (c C, ok bool) {
	for {
		c, ok = p.newest()
		if !ok || p.Quiet(c) {
			return c, ok
		}
		p.Drop(c)
	}
}

// newest removes and returns the connection that was used last, or false if there is none.
func (p *Idle[C]) newest() (c C, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.kept) - 1
	if last < 0 {
		return c, false
	}
	c = p.kept[last].conn
	p.remove(last)
	return c, true
}

// The caller must hold p.mu.
func (p *Idle[C]) remove(index int) {
	p.kept[index].timer.Stop()
	p.kept = slices.Delete(p.kept, index, index+1)
}

// Put keeps an idle connection. If there are too many, Put drops the least recently used connection.
func (p *Idle[C]) Put(c C) {
	if extra := p.add(&kept[C]{conn: c}); extra != nil {
		p.drop(extra)
	}
}

// add returns the connection to drop, or nil.
func (p *Idle[C]) add(one *kept[C]) (extra *kept[C]) {
	p.mu.Lock()
	defer p.mu.Unlock()
	one.timer = time.AfterFunc(p.After, func() { p.drop(one) })
	if p.kept = append(p.kept, one); p.closed || len(p.kept) > p.Most {
		return p.kept[0]
	}
	return nil
}

func (p *Idle[C]) drop(one *kept[C]) {
	if p.forget(one) {
		p.Drop(one.conn)
	}
}

// forget reports whether it has removed one, which is false if it was used or dropped meanwhile.
func (p *Idle[C]) forget(one *kept[C]) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := slices.Index(p.kept, one)
	if at >= 0 {
		p.remove(at)
	}
	return at >= 0
}

func (p *Idle[C]) Len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.kept)
}

// Close drops all idle connections. Later calls of Put drop their connections.
func (p *Idle[C]) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.Clear()
}

func (p *Idle[C]) Clear() {
	p.mu.Lock()
	all := slices.Clone(p.kept)
	p.mu.Unlock()
	for _, one := range all {
		p.drop(one)
	}
}

// Quiet reports whether a connection is open and has no unread data.
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
