package live_test

import (
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/cmd/fapws/pool/redistest"
)

// A slowLink passes bytes to a broker. Its answers are late by the duration late, in nanoseconds.
type slowLink struct {
	net.Listener
	late atomic.Int64
}

func slowLinkTo(t *testing.T, address string) *slowLink {
	t.Helper()
	l := &slowLink{Listener: fapwstest.Try(net.Listen("tcp", "127.0.0.1:0")).Must(t)}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", address)
			if err != nil {
				near.Close()
				continue
			}
			go func() {
				_, _ = io.Copy(far, near)
				far.Close()
			}()
			go func() {
				defer near.Close()
				for buf := make([]byte, 64<<10); ; {
					n, err := far.Read(buf)
					if err != nil {
						return
					}
					time.Sleep(time.Duration(l.late.Load()))
					if _, err := near.Write(buf[:n]); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l
}

// The table of faults in docs/live.md: whatever happens to the broker, each event that was accepted comes once, and in
// the same order on both servers.
func TestEventsSurviveFaultsOfTheBroker(t *testing.T) {
	t.Parallel()
	type test struct {
		broker *redistest.Server
		link   *slowLink
		do     func(args ...string)
	}
	const away, back = "error channels: .* is away", "info channels: .* is back after"
	for _, c := range []struct {
		name       string
		begin, end func(test)
		away       string // what the log says
	}{
		{"stopped", func(x test) { x.broker.Signal(syscall.SIGSTOP) }, func(x test) { x.broker.Signal(syscall.SIGCONT) },
			`\(no answer in time\)`},
		{"clients killed", func(x test) { x.do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes") }, func(test) {}, ""},
		{"late", func(x test) { x.link.late.Store(int64(3 * time.Second)) }, func(x test) { x.link.late.Store(0) }, ""},
		{"cut off", func(x test) { x.link.late.Store(int64(15 * time.Second)) }, func(x test) { x.link.late.Store(0) },
			`\(no answer in time\)`},
		{"password changed", func(x test) {
			x.do("CONFIG", "SET", "requirepass", "new")
			x.do("AUTH", "new")
			x.do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
		}, func(x test) { x.do("CONFIG", "SET", "requirepass", "") }, `\((NOAUTH|.*unauthenticated) .*\(give redis://USER:PASSWORD@HOST`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			x := test{broker: redistest.Start(t)}
			x.link = slowLinkTo(t, x.broker.Address)
			control := fapwstest.Try(redis.Dial("tcp", x.broker.Address)).Must(t)
			t.Cleanup(func() { control.Close() })
			x.do = func(args ...string) {
				t.Helper()
				fapwstest.Try(control.Do(args[0], redis.Args{}.AddFlat(args[1:])...)).Must(t)
			}
			a, b := node(t, "redis://"+x.broker.Address), node(t, "redis://"+x.link.Addr().String())
			listeners := []*subscriber{listen(a, "/news"), listen(b, "/news")}
			sent := 0
			send := func() {
				t.Helper()
				for _, s := range []*fapwstest.Server{a, b} {
					for _, one := range numbers(sent, sent+20) {
						s.Get("/send?"+one, 200).Is(t, "sent")
					}
					sent += 20
				}
			}
			send()
			c.begin(x)
			send()
			if c.away != "" {
				b.Says(away + ` ` + c.away)
			}
			send()
			c.end(x)
			send()
			if c.away != "" {
				b.Says(back)
			}
			var orders [2][]string
			for i, l := range listeners {
				seen := map[string]bool{}
				for range sent {
					e := fapwstest.Try(l.next()).Must(t)
					fapwstest.Truef(t, !seen[e.data], "event %s came twice", e.data)
					seen[e.data] = true
					orders[i] = append(orders[i], e.data)
				}
			}
			fapwstest.Equal(t, orders[0], orders[1])
		})
	}
}
