package conn

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"fapws/runtime/checktest"
	"fapws/runtime/conn/certtest"
)

func hello(t *testing.T) []byte {
	t.Helper()
	var k keeper
	err := tls.Client(&k, clientConfig()).Handshake()
	checktest.Needf(t, errors.Is(err, errKept), "%v", err)
	return k.written
}

var errKept = errors.New("kept")

type keeper struct {
	net.Conn
	written []byte
}

func (k *keeper) Write(b []byte) (int, error) {
	k.written = append(k.written, b...)
	return 0, errKept
}

func (k *keeper) Close() error { return nil }

func TestHalfHandshakesNeedNoGoroutineAndAreClosedInTime(t *testing.T) {
	s := newServer(t, nil)
	first := hello(t)
	const n = 1000
	var clients []*net.TCPConn
	for range n {
		c := s.tcp()
		c.Write(first[:len(first)/2])
		clients = append(clients, c)
	}
	s.until("all are connected", func() bool { return len(s.conns.All()) == n })
	echoes(t, s.dial(nil, nil), []byte("hello"))
	s.do(func() {
		for e := s.handshakes.Front(); e != nil; e = e.Next() {
			checktest.Equalf(t, e.Value.(*Handshake).stage, collecting, "a goroutine")
		}
		// The loop's clock stopped while there were no clients, so Restamp must correct the timestamps of the
		// handshakes.
		s.conns.Restamp(0, int64(time.Minute))
		s.conns.SetTime(s.conns.Start.Add(time.Minute + defaultTimeout - time.Second))
		s.conns.Tick()
		got := len(s.conns.All())
		checktest.Equalf(t, got, n+1, "%d clients are cut off too early", n+1-got)
		s.conns.SetTime(s.conns.Start.Add(time.Minute + defaultTimeout + time.Second))
		s.conns.Tick()
	})
	for _, c := range clients {
		_, err := c.Read(make([]byte, 1))
		checktest.Needf(t, err == io.EOF, "%v", err)
	}
}

// As many clients as the limit permits are silent after their ClientHello. A new client must wait until a silent
// handshake is a second old.
func TestSilentHandshakeEndsForEachNewClient(t *testing.T) {
	const most = 20
	s := newServer(t, nil)
	freed := 0
	s.do(func() {
		s.Configure(0, most)
		s.Freed = func() { freed++ }
	})
	first := hello(t)
	for range most {
		s.tcp().Write(first)
	}
	s.until("all wait for their clients", func() bool {
		for e := s.handshakes.Front(); e != nil; e = e.Next() {
			if !e.Value.(*Handshake).waits.Load() {
				return false
			}
		}
		return s.handshakes.Len() == most
	})
	s.do(func() {
		checktest.Truef(t, !s.MakeRoom() && len(s.conns.All()) == most, "a handshake was cut off too early")
		s.conns.SetTime(s.conns.Start.Add(2 * time.Second))
		checktest.Truef(t, !s.Room() && len(s.conns.All()) == most, "a handshake was cut off for nothing")
		for range 3 {
			checktest.Truef(t, !s.MakeRoom(), "a goroutine counts no more, and may go on")
		}
		checktest.Equalf(t, len(s.conns.All()), most-1, "handshakes go on")
	})
	s.until("there is room", func() bool { return freed == 1 })
	s.do(func() {
		checktest.Truef(t, s.Room(), "there is no room")
	})
	c := s.dial(nil, nil)
	echoes(t, c, []byte("hello"))
	s.do(func() {
		s.conns.SetTime(s.conns.Start.Add(defaultTimeout + 4*time.Second))
		s.conns.Tick()
	})
	s.until("the others are closed", func() bool { return s.handshakes.Len() == 0 && len(s.conns.All()) == 1 })
	echoes(t, c, []byte("still there"))
	s.do(func() {
		checktest.Equalf(t, s.ending, 0, "goroutines are about to end")
	})
}

func TestPanicInATLSCallbackEndsItsHandshake(t *testing.T) {
	s := newServer(t, nil)
	s.SetConfig(&tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate,
		error) {
		panic("on purpose")
	}})
	err := tls.Client(s.tcp(), clientConfig()).Handshake()
	checktest.Needf(t, err != nil, "no error")
	s.until("the lines", func() bool {
		return strings.Contains(s.logged(), "bug: on purpose") && strings.Contains(s.logged(), "internal error")
	})
	cert, _ := certtest.Localhost()
	s.SetConfig(&tls.Config{Certificates: []tls.Certificate{cert}})
	echoes(t, s.dial(nil, nil), []byte("hello"))
}

func TestRequestWithTheLastHandshakeBytesIsAnswered(t *testing.T) {
	s := newServer(t, func() *peer {
		return &peer{stays: true, answer: func(p *peer, b []byte) {
			p.send(b)
			p.finish = true
		}}
	})
	var held *holder
	c := tls.Client(&holder{Conn: s.tcp()}, clientConfig())
	held = c.NetConn().(*holder)
	checktest.Must(t, c.Handshake())
	c.Write([]byte("question"))
	c.CloseWrite()
	checktest.Must(t, held.release())
	p := s.only()
	s.until("its end", func() bool { return p.ends == 1 })
	s.do(func() { p.Finish() })
	got, err := io.ReadAll(c)
	checktest.Truef(t, err == nil && string(got) == "question", "%q, %v", got, err)
}

// holder delays all writes after the ClientHello.
type holder struct {
	net.Conn
	writes int
	kept   []byte
}

func (h *holder) Write(b []byte) (int, error) {
	if h.writes++; h.writes == 1 {
		return h.Conn.Write(b)
	}
	h.kept = append(h.kept, b...)
	return len(b), nil
}

func (h *holder) release() error {
	h.Conn.SetDeadline(time.Now().Add(patience))
	if _, err := h.Conn.Write(h.kept); err != nil {
		return err
	}
	return h.Conn.(*net.TCPConn).CloseWrite()
}

func TestAbortedHandshakeReleasesEverything(t *testing.T) {
	s := newServer(t, nil)
	first := hello(t)
	for n := range len(first) {
		if n%50 > 0 {
			continue
		}
		c := s.tcp()
		c.Write(first[:n])
		c.Close()
	}
	c := s.tcp()
	c.Write(first)
	c.CloseWrite()
	s.until("nothing is left", func() bool { return s.handshakes.Len() == 0 && len(s.conns.All()) == 0 })
}
