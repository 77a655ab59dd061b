package pool

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/gomodule/redigo/redis"
	"golang.org/x/sys/unix"

	"fapws/runtime/system"
)

// connect connects to the broker and logs in. The connection fails when ctx ends, and when a response takes longer than
// the duration patience.
func (a *BrokerAddress) connect(ctx context.Context, patience time.Duration) (redis.Conn, error) {
	switch {
	case a.cluster:
		return a.connectCluster(ctx, patience, a.key("events"))
	case a.master != "":
		return a.connectMaster(ctx, patience)
	}
	return a.dial(ctx, a.hosts[0], patience, a.login()...)
}

func (a *BrokerAddress) login() []redis.DialOption {
	return []redis.DialOption{redis.DialUsername(a.user), redis.DialPassword(a.password), redis.DialDatabase(a.db)}
}

func (a *BrokerAddress) dial(ctx context.Context, address string, patience time.Duration, extra ...redis.DialOption) (
	redis.Conn, error) {
	return redis.Dial(a.network, address, a.options(ctx, patience, extra...)...)
}

func (a *BrokerAddress) options(ctx context.Context, patience time.Duration, extra ...redis.DialOption) []redis.DialOption {
	return append(extra, redis.DialReadTimeout(patience), redis.DialWriteTimeout(answerWithin),
		redis.DialNetDial(func(network, address string) (net.Conn, error) {
			if a.cluster {
				address = nodeAddress(address)
			}
			return a.open(ctx, network, address)
		}))
}

func (a *BrokerAddress) open(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: answerWithin}
	dial := d.DialContext
	if a.tls {
		dial = (&tls.Dialer{NetDialer: &d, Config: &tls.Config{MinVersion: tls.VersionTLS12}}).DialContext
	}
	c, err := dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	bound := boundConn{Conn: c, unbind: context.AfterFunc(ctx, func() { _ = c.Close() })}
	if s, ok := c.(syscall.Conn); ok { // not with TLS
		bound.raw, err = s.SyscallConn()
	}
	return bound, err
}

// A boundConn closes when its context ends, which interrupts a read that waits for events.
type boundConn struct {
	net.Conn
	raw    syscall.RawConn // nil with TLS
	unbind func() bool
}

func (c boundConn) Read(dst []byte) (n int, err error) {
	if c.raw == nil || len(dst) == 0 {
		return c.Conn.Read(dst)
	}
	waitErr := c.raw.Read(func(fd uintptr) (done bool) {
		n, _, _, err = system.Receive(int(fd), dst, nil)
		return err != unix.EAGAIN
	})
	if err = cmp.Or(waitErr, err); err == nil && n == 0 {
		err = io.EOF
	}
	return n, err
}

func (c boundConn) Write(text []byte) (n int, err error) {
	if c.raw == nil {
		return c.Conn.Write(text)
	}
	waitErr := c.raw.Write(func(fd uintptr) (done bool) {
		for err = nil; n < len(text) && err == nil; {
			var sent int
			sent, err = system.Send(int(fd), text[n:])
			n += sent
		}
		return err != unix.EAGAIN
	})
	return n, cmp.Or(waitErr, err)
}

func (c boundConn) Close() error {
	c.unbind()
	return c.Conn.Close()
}

// A brokerLine is a connection to the broker that is opened when it is needed, for requests of one kind. Its methods
// must be called on one goroutine at a time.
type brokerLine struct {
	patience time.Duration          // time limit of a response
	prepare  func(redis.Conn) error // is called with each new connection; may be nil
	conn     redis.Conn             // nil if the line is not connected
}

// use calls step with a connection to the broker. Errors close the connection: the next request may need another
// server, such as a new master. If the broker had closed the connection before, use calls step again with a new one.
func (l *brokerLine) use(ctx context.Context, a *BrokerAddress, step func(redis.Conn) error) (err error) {
	for {
		fresh := l.conn == nil
		if fresh {
			if l.conn, err = a.connect(ctx, l.patience); err != nil {
				l.conn = nil
				return err
			}
			if l.prepare != nil {
				err = l.prepare(l.conn)
			}
		}
		if err == nil {
			err = step(l.conn)
		}
		if err == nil || hasPrefix(err, trimmed) {
			return err
		}
		l.close()
		if fresh || !wasClosed(err) || ctx.Err() != nil {
			return err
		}
	}
}

// close makes the next request use a new connection.
func (l *brokerLine) close() {
	if l.conn != nil {
		_ = l.conn.Close()
		l.conn = nil
	}
}

func wasClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE)
}

// hasPrefix reports whether err is an error that the broker has sent, and begins with the word code.
func hasPrefix(err error, code string) bool {
	var sent redis.Error
	return errors.As(err, &sent) && strings.HasPrefix(string(sent), code+" ")
}
