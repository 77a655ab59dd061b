package conn

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"fapws/runtime/conn/certtest"
)

func hello(t *testing.T) []byte {
	t.Helper()
	var k keeper
	if err := tls.Client(&k, clientConfig()).Handshake(); !errors.Is(err, errKept) {
		t.Fatal(err)
	}
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
			if e.Value.(*Handshake).stage != collecting {
				t.Error("a goroutine")
			}
		}
		// The loop's clock stopped while there were no clients, so Restamp must correct the timestamps of the
		// handshakes.
		s.conns.Restamp(0, int64(time.Minute))
		s.conns.SetTime(s.conns.Start.Add(time.Minute + defaultTimeout - time.Second))
		s.conns.Tick()
		if got := len(s.conns.All()); got != n+1 {
			t.Errorf("%d clients are cut off too early", n+1-got)
		}
		s.conns.SetTime(s.conns.Start.Add(time.Minute + defaultTimeout + time.Second))
		s.conns.Tick()
	})
	for _, c := range clients {
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Fatal(err)
		}
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
		if s.MakeRoom() || len(s.conns.All()) != most {
			t.Error("a handshake was cut off too early")
		}
		s.conns.SetTime(s.conns.Start.Add(2 * time.Second))
		if s.Room() || len(s.conns.All()) != most {
			t.Error("a handshake was cut off for nothing")
		}
		for range 3 {
			if s.MakeRoom() {
				t.Error("a goroutine counts no more, and may go on")
			}
		}
		if n := len(s.conns.All()); n != most-1 {
			t.Errorf("%d handshakes go on", n)
		}
	})
	s.until("there is room", func() bool { return freed == 1 })
	s.do(func() {
		if !s.Room() {
			t.Error("there is no room")
		}
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
		if s.ending != 0 {
			t.Errorf("%d goroutines are about to end", s.ending)
		}
	})
}

func TestPanicInATLSCallbackEndsItsHandshake(t *testing.T) {
	s := newServer(t, nil)
	s.SetConfig(&tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate,
		error) {
		panic("on purpose")
	}})
	if err := tls.Client(s.tcp(), clientConfig()).Handshake(); err == nil {
		t.Fatal("no error")
	}
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
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	c.Write([]byte("question"))
	c.CloseWrite()
	if err := held.release(); err != nil {
		t.Fatal(err)
	}
	p := s.only()
	s.until("its end", func() bool { return p.ends == 1 })
	s.do(func() { p.Finish() })
	if got, err := io.ReadAll(c); err != nil || string(got) != "question" {
		t.Errorf("%q, %v", got, err)
	}
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
