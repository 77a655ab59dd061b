package conn

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"fapws/runtime/eventloop"
	"fapws/runtime/eventloop/looptest"

	"golang.org/x/sys/unix"
)

// tunnelTest is a tunnel on a loop, and the connections of both sides.
type tunnelTest struct {
	t      *testing.T
	loop   *eventloop.Loop
	tunnel *Tunnel
	peers  [2]*net.TCPConn // by TunnelSide
	fds    [2]int
	watch  [2]eventloop.Watch
	over   chan error
	done   bool
}

// testSide is the handler of one side.
type testSide struct {
	f *tunnelTest
	s TunnelSide
}

// Ready implements eventloop.Handler.
func (s testSide) Ready(r eventloop.Readiness) { s.f.result(s.f.tunnel.Ready(s.s, r)) }

func (f *tunnelTest) result(over bool, err error) {
	if over && !f.done {
		f.done = true
		f.over <- err
	}
}

func openTunnel(t *testing.T, fromClient, fromUpstream string) *tunnelTest {
	t.Helper()
	loop := looptest.New(t)
	f := &tunnelTest{t: t, loop: loop, over: make(chan error, 1)}
	for s := range f.peers {
		f.fds[s], _, _, f.peers[s] = tcp(t)
	}
	looptest.Run(t, loop, func() {
		f.tunnel.Close()
		f.watch[TunnelClient].Remove()
		unix.Close(f.fds[TunnelClient])
	})
	f.do(func() {
		for s := range f.watch {
			if err := loop.Add(&f.watch[s], f.fds[s], testSide{f, TunnelSide(s)}); err != nil {
				t.Error(err)
			}
		}
		f.tunnel = NewTunnel(f.socket(TunnelClient), f.socket(Upstream), &f.watch[TunnelClient], &f.watch[Upstream], new(TunnelBuffers))
		f.result(f.tunnel.Open([]byte(fromClient), []byte(fromUpstream)))
	})
	return f
}

func (f *tunnelTest) socket(s TunnelSide) Plain {
	return Plain{Descriptor: f.fds[s], TCP: true}
}

// do runs a function on the loop.
func (f *tunnelTest) do(run func()) { looptest.Do(f.loop, run) }

// until waits until something is true on the loop.
func (f *tunnelTest) until(what string, holds func() bool) {
	f.t.Helper()
	looptest.Until(f.t, f.loop, what, holds)
}

// Data read before the tunnel opened comes first, and each direction ends separately.
func TestHalves(t *testing.T) {
	for first := range TunnelSide(2) {
		f := openTunnel(t, "to upstream, ", "to client, ")
		second := 1 - first
		early := [2]string{TunnelClient: "to client, ", Upstream: "to upstream, "}
		io.WriteString(f.peers[first], "goodbye")
		f.peers[first].CloseWrite()
		if all, err := io.ReadAll(f.peers[second]); string(all) != early[second]+"goodbye" || err != nil {
			t.Fatalf("%q, %v", all, err)
		}
		f.do(func() {
			if f.done || !f.tunnel.Ended(first) || f.tunnel.Ended(second) {
				t.Error("another direction has ended")
			}
		})
		io.WriteString(f.peers[second], "farewell")
		f.peers[second].Close()
		if all, err := io.ReadAll(f.peers[first]); string(all) != early[first]+"farewell" || err != nil {
			t.Fatalf("%q, %v", all, err)
		}
		if err := <-f.over; err != nil {
			t.Error(err)
		}
		f.do(func() {
			for s := range TunnelSide(2) {
				if got, want := f.tunnel.Received(s), f.tunnel.Sent(1-s); got != want || got < 15 {
					t.Errorf("%d bytes received, %d sent", got, want)
				}
			}
		})
	}
}

// A side that does not read stops the other one, bytes wait in memory that is bounded, and all of them arrive in order.
func TestSlowReaders(t *testing.T) {
	for slow := range TunnelSide(2) {
		f := openTunnel(t, "", "")
		data := bytes.Repeat([]byte("0123456789abcdef"), 2<<20) // more than the sockets hold
		written := make(chan error, 1)
		go func() {
			_, err := f.peers[1-slow].Write(data)
			f.peers[1-slow].CloseWrite()
			written <- err
		}()
		f.until("bytes wait for the slow side", func() bool { return f.tunnel.Waiting(slow) })
		f.do(func() {
			if waits := f.tunnel.Received(1-slow) - f.tunnel.Sent(slow); waits <= 0 || waits > 64<<10 {
				t.Errorf("%d bytes wait in memory", waits)
			}
		})
		go io.WriteString(f.peers[slow], "the other direction goes on")
		got := make([]byte, 27)
		if _, err := io.ReadFull(f.peers[1-slow], got); err != nil || string(got) != "the other direction goes on" {
			t.Errorf("%q, %v", got, err)
		}
		sum := sha256.New()
		n, err := io.Copy(sum, f.peers[slow])
		if n != int64(len(data)) || err != nil || !slices.Equal(sum.Sum(nil), sum256(data)) {
			t.Errorf("%d bytes of %d came, %v", n, len(data), err)
		}
		if err := <-written; err != nil {
			t.Error(err)
		}
		f.do(func() {
			if f.tunnel.Waiting(slow) {
				t.Error("bytes still wait")
			}
		})
	}
}

func sum256(b []byte) []byte {
	sum := sha256.Sum256(b)
	return sum[:]
}

// A tunnel ends with a side that breaks the connection, also while that is not read from.
func TestBreaks(t *testing.T) {
	t.Run("client", func(t *testing.T) {
		f := openTunnel(t, "", "")
		f.peers[TunnelClient].SetLinger(0)
		f.peers[TunnelClient].Close()
		if err := <-f.over; err != ErrClientGone {
			t.Error(err)
		}
	})
	t.Run("client that is held back", func(t *testing.T) {
		f := openTunnel(t, "", "")
		go f.peers[TunnelClient].Write(make([]byte, 64<<20))
		f.until("the upstream has no room", func() bool { return f.tunnel.Waiting(Upstream) })
		f.peers[TunnelClient].SetLinger(0)
		f.peers[TunnelClient].Close()
		if err := <-f.over; err != ErrClientGone {
			t.Error(err)
		}
	})
	t.Run("upstream", func(t *testing.T) {
		f := openTunnel(t, "", "")
		f.peers[Upstream].SetLinger(0)
		f.peers[Upstream].Close()
		if err := <-f.over; !errors.Is(err, unix.ECONNRESET) {
			t.Error(err)
		}
	})
	t.Run("upstream that has said something", func(t *testing.T) {
		f := openTunnel(t, "", "")
		io.WriteString(f.peers[Upstream], "the reason")
		got := make([]byte, 10)
		if _, err := io.ReadFull(f.peers[TunnelClient], got); string(got) != "the reason" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		f.peers[Upstream].Close()
		go func() {
			for f.peers[TunnelClient].SetDeadline(time.Now().Add(patience)); ; {
				if _, err := f.peers[TunnelClient].Write([]byte("more")); err != nil {
					return
				}
			}
		}()
		if all, err := io.ReadAll(f.peers[TunnelClient]); len(all) > 0 || err != nil {
			t.Errorf("%q, %v", all, err)
		}
		if err := <-f.over; err != nil && !errors.Is(err, unix.ECONNRESET) && !errors.Is(err, unix.EPIPE) {
			t.Error(err)
		}
	})
}

// A tunnel that carries nothing allocates nothing for what passes through without waiting.
func TestCost(t *testing.T) {
	f := openTunnel(t, "", "")
	there, back := make([]byte, 64), make([]byte, 64)
	echo := func() {
		for _, s := range []TunnelSide{TunnelClient, Upstream} {
			f.peers[s].Write(there)
			if _, err := io.ReadFull(f.peers[1-s], back); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := testing.AllocsPerRun(1000, echo); n > 2*eventloop.BatchAllocations {
		t.Errorf("%v allocations for a message and its echo", n)
	}
}
