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

	"fapws/runtime/checktest"

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
	fd, _, remote, upstream := tcp(t)
	f.peers[ofUpstream] = upstream
	f.do(func() {
		up := new(Conn)
		checktest.Must(t, f.OpenOutward(up, fd, remote, &recorder{}))
		f.tunnel = f.NewTunnel(f.Ended, up, 0, func(err error) { f.err = err })
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
			waits := len(f.ends[1-slow].conn.Pending())
			checktest.Truef(t, waits != 0 && waits <= 64<<10, "%d bytes wait in memory", waits)
		})
		go io.WriteString(f.peers[slow], "the other direction goes on")
		got := make([]byte, 27)
		_, err := io.ReadFull(f.peers[1-slow], got)
		checktest.Truef(t, err == nil && string(got) == "the other direction goes on", "%q, %v", got, err)
		sum := sha256.New()
		n, err := io.Copy(sum, f.peers[slow])
		checktest.Truef(t, n == int64(len(data)) && err == nil && slices.Equal(sum.Sum(nil), sum256(data)),
			"%d bytes of %d came, %v", n, len(data), err)
		checktest.Equal(t, <-written, nil)
		f.do(func() { checktest.Truef(t, !f.waits(slow), "bytes still wait") })
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
			checktest.Equal(t, <-f.over, errBroken)
		})
	}
	t.Run("upstream", func(t *testing.T) {
		f := openTunnel(t, "", "")
		f.peers[ofUpstream].SetLinger(0)
		f.peers[ofUpstream].Close()
		err := <-f.over
		checktest.Truef(t, errors.Is(err, unix.ECONNRESET), "%v", err)
	})
	t.Run("upstream that has said something", func(t *testing.T) {
		f := openTunnel(t, "", "")
		io.WriteString(f.peers[ofUpstream], "the reason")
		got := make([]byte, 10)
		_, err := io.ReadFull(f.peers[ofClient], got)
		checktest.Truef(t, string(got) == "the reason" && err == nil, "%q, %v", got, err)
		f.peers[ofUpstream].Close()
		go func() {
			for f.peers[ofClient].SetDeadline(time.Now().Add(patience)); ; {
				if _, err := f.peers[ofClient].Write([]byte("more")); err != nil {
					return
				}
			}
		}()
		all, err := io.ReadAll(f.peers[ofClient])
		checktest.Truef(t, len(all) == 0 && err == nil, "%q, %v", all, err)
		err = <-f.over
		checktest.Truef(t, err == nil || errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE), "%v", err)
	})
}

func TestTunnelDoesNotAllocateForBytesThatNeedNotWait(t *testing.T) {
	f := openTunnel(t, "", "")
	there, back := make([]byte, 64), make([]byte, 64)
	echo := func() {
		for _, s := range []int{ofClient, ofUpstream} {
			f.peers[s].Write(there)
			checktest.Try(io.ReadFull(f.peers[1-s], back)).Must(t)
		}
	}
	n := testing.AllocsPerRun(1000, echo)
	checktest.Truef(t, n == 0, "%v allocations for a message and its echo", n)
}
