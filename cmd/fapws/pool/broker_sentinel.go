package pool

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"
)

// recheckMaster is the time after which a missed message of a sentinel no longer matters.
const recheckMaster = time.Minute

// connectMaster connects to the server that the sentinels name. The connection closes when they name another one.
func (a *BrokerAddress) connectMaster(ctx context.Context, patience time.Duration) (redis.Conn, error) {
	address, sentinel, err := a.askSentinels(ctx)
	if err != nil {
		return nil, err
	}
	_ = sentinel.Close()
	ctx, cancel := context.WithCancel(ctx)
	c, err := a.dial(ctx, address, patience, a.login()...)
	if err != nil {
		cancel()
		return nil, err
	}
	// The sentinels may not have noticed yet that the server has become a replica.
	role, err := redis.Values(c.Do("ROLE"))
	if err == nil && (len(role) == 0 || fmt.Sprintf("%s", role[0]) != "master") {
		err = fmt.Errorf("%s is not the master %q", address, a.master)
	}
	if err != nil {
		cancel()
		return nil, err
	}
	go func() {
		defer cancel()
		a.follow(ctx, address)
	}()
	return masterConn{c, cancel}, nil
}

// A masterConn ends the goroutine of follow when it closes.
type masterConn struct {
	redis.Conn
	cancel context.CancelFunc
}

func (c masterConn) Close() error {
	err := c.Conn.Close()
	c.cancel()
	return err
}

// follow returns when the sentinels name another master than address, or when ctx ends.
func (a *BrokerAddress) follow(ctx context.Context, address string) {
	for ctx.Err() == nil {
		master, sentinel, err := a.askSentinels(ctx)
		if err == nil {
			if master != address {
				_ = sentinel.Close()
				return
			}
			// A failure is no different from a message: the sentinels are asked again.
			if _, err = sentinel.Do("SUBSCRIBE", "+switch-master"); err == nil {
				_, _ = redis.ReceiveWithTimeout(sentinel, recheckMaster)
			}
			_ = sentinel.Close()
		}
		select {
		case <-time.After(againAfter):
		case <-ctx.Done():
		}
	}
}

// askSentinels returns the address of the master and a connection to the sentinel that knows it, or the reason of each
// sentinel why it knows none.
func (a *BrokerAddress) askSentinels(ctx context.Context) (master string, sentinel redis.Conn, err error) {
	var reasons []string
	for _, host := range a.hosts {
		master, sentinel, err := a.askSentinel(ctx, host)
		switch {
		case err == nil:
			return master, sentinel, nil
		case errors.Is(err, redis.ErrNil):
			err = fmt.Errorf("unknown master %q", a.master)
		case isLogin(err):
			err = fmt.Errorf("%w (give ?sentinel_password=)", err)
		}
		reasons = append(reasons, fmt.Sprintf("sentinel %s: %s", host, err))
	}
	return "", nil, errors.New(strings.Join(reasons, "; "))
}

func (a *BrokerAddress) askSentinel(ctx context.Context, host string) (string, redis.Conn, error) {
	c, err := a.dial(ctx, host, answerWithin, redis.DialPassword(a.secret))
	if err != nil {
		return "", nil, err
	}
	found, err := redis.Strings(c.Do("SENTINEL", "get-master-addr-by-name", a.master))
	if err == nil && len(found) != 2 {
		err = fmt.Errorf("unexpected response %q", found)
	}
	if err != nil {
		_ = c.Close()
		return "", nil, err
	}
	return net.JoinHostPort(found[0], found[1]), c, nil
}
