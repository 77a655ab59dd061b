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

	"golang.org/x/sys/unix"
)

const (
	ofClient = iota
	ofUpstream
)

type tunnelTest struct {
	*set
	tunnel *Tunnel
	ends   [2]*TunnelEnd
	peers  [2]*net.TCPConn
	client *recorder
	over   chan error
	err    error
}

func (f *tunnelTest) Ended(proper bool) {
	if !proper {
		f.err = errBroken
	}
	f.over <- f.err
}

var errBroken = errors.New("the client has disconnected")

func openTunnel(t *testing.T, fromClient, fromUpstream string) *tunnelTest {
	t.Helper()
	f := &tunnelTest{set: newSet(t, 64<<10), over: make(chan error, 1)}
	f.client, f.peers[ofClient] = f.open()
	fd, local, remote, upstream := tcp(t)
	f.peers[ofUpstream] = upstream
	server := new(TLSServer)
	server.Init(&f.Set)
	f.do(func() {
		up := new(Conn)
		up.Init(fd, local, remote)
		f.tunnel = server.NewTunnel(f.Ended, up, 0, func(err error) { f.err = err })
		f.ends = [2]*TunnelEnd{&f.tunnel.client, &f.tunnel.upstream}
		f.client.Keep([]byte(fromClient))
		f.tunnel.Begin(&f.client.Conn, []byte(fromUpstream), 0)
	})
	return f
}

func (f *tunnelTest) waits(side int) bool { return f.ends[side].conn.Writing() }

func TestTunnelSideThatDoesNotReadStopsTheOtherSide(t *testing.T) {
	for slow := range 2 {
		f := openTunnel(t, "", "")
		data := bytes.Repeat([]byte("0123456789abcdef"), 2<<20)
		written := make(chan error, 1)
		go func() {
			_, err := f.peers[1-slow].Write(data)
			f.peers[1-slow].CloseWrite()
			written <- err
		}()
		f.until("bytes wait for the slow side", func() bool { return f.waits(slow) })
		f.do(func() {
			if waits := len(f.ends[1-slow].conn.Pending()); waits == 0 || waits > 64<<10 {
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
			if f.waits(slow) {
				t.Error("bytes still wait")
			}
		})
	}
}

func sum256(b []byte) []byte {
	sum := sha256.Sum256(b)
	return sum[:]
}

func TestTunnelEndsWhenASideResetsItsConnection(t *testing.T) {
	for name, held := range map[string]bool{"client": false, "client that is held back": true} {
		t.Run(name, func(t *testing.T) {
			f := openTunnel(t, "", "")
			if held {
				go f.peers[ofClient].Write(make([]byte, 64<<20))
				f.until("the upstream has no room", func() bool { return f.waits(ofUpstream) })
			}
			f.peers[ofClient].SetLinger(0)
			f.peers[ofClient].Close()
			if err := <-f.over; err != errBroken {
				t.Error(err)
			}
		})
	}
	t.Run("upstream", func(t *testing.T) {
		f := openTunnel(t, "", "")
		f.peers[ofUpstream].SetLinger(0)
		f.peers[ofUpstream].Close()
		if err := <-f.over; !errors.Is(err, unix.ECONNRESET) {
			t.Error(err)
		}
	})
	t.Run("upstream that has said something", func(t *testing.T) {
		f := openTunnel(t, "", "")
		io.WriteString(f.peers[ofUpstream], "the reason")
		got := make([]byte, 10)
		if _, err := io.ReadFull(f.peers[ofClient], got); string(got) != "the reason" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		f.peers[ofUpstream].Close()
		go func() {
			for f.peers[ofClient].SetDeadline(time.Now().Add(patience)); ; {
				if _, err := f.peers[ofClient].Write([]byte("more")); err != nil {
					return
				}
			}
		}()
		if all, err := io.ReadAll(f.peers[ofClient]); len(all) > 0 || err != nil {
			t.Errorf("%q, %v", all, err)
		}
		if err := <-f.over; err != nil && !errors.Is(err, unix.ECONNRESET) && !errors.Is(err, unix.EPIPE) {
			t.Error(err)
		}
	})
}

func TestTunnelDoesNotAllocateForBytesThatNeedNotWait(t *testing.T) {
	f := openTunnel(t, "", "")
	there, back := make([]byte, 64), make([]byte, 64)
	echo := func() {
		for _, s := range []int{ofClient, ofUpstream} {
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
