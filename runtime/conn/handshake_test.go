package conn

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

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
			checktest.Equalf(t, e.Value.(*TLSHandshake).stage, collecting, "a goroutine")
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
			if !e.Value.(*TLSHandshake).waits.Load() {
				return false
			}
		}
		return s.handshakes.Len() == most
	})
	s.do(func() {
		checktest.Truef(t, !s.MakeRoom() && len(s.conns.All()) == most, "a handshake was cut off too early")
		s.conns.SetTime(s.conns.Start.Add(2 * time.Second))
		checktest.Truef(t, !s.HasRoom() && len(s.conns.All()) == most, "a handshake was cut off for nothing")
		for range 3 {
			checktest.Truef(t, !s.MakeRoom(), "a goroutine counts no more, and may go on")
		}
		checktest.Equalf(t, len(s.conns.All()), most-1, "handshakes go on")
	})
	s.until("there is room", func() bool { return freed == 1 })
	s.do(func() { checktest.Truef(t, s.HasRoom(), "there is no room") })
	c := s.dial(nil, nil)
	echoes(t, c, []byte("hello"))
	s.do(func() {
		s.conns.SetTime(s.conns.Start.Add(defaultTimeout + 4*time.Second))
		s.conns.Tick()
	})
	s.until("the others are closed", func() bool { return s.handshakes.Len() == 0 && len(s.conns.All()) == 1 })
	echoes(t, c, []byte("still there"))
	s.do(func() { checktest.Equalf(t, s.ending, 0, "goroutines are about to end") })
}

func TestPanicInATLSCallbackEndsItsHandshake(t *testing.T) {
	s := newServer(t, nil)
	s.SetConfig(&tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { panic("on purpose") }})
	checktest.Needf(t, tls.Client(s.tcp(), clientConfig()).Handshake() != nil, "no error")
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

// Without the acknowledgment, Nagle's algorithm would delay the client's first request by 40 ms.
func TestLastHandshakeMessageIsAcknowledgedAtOnce(t *testing.T) {
	s := newServer(t, nil)
	c := s.dial(nil, nil)
	p := s.only()
	s.until("TLS", func() bool { return p.transport != nil })
	quick, err := unix.GetsockoptInt(p.Fd(), unix.IPPROTO_TCP, unix.TCP_QUICKACK)
	checktest.Equalf(t, quick, 1, "TCP_QUICKACK, %v", err)
	echoes(t, c, []byte("hello"))
}

func TestFailedHandshakesAreLoggedWithTheirReason(t *testing.T) {
	s := newServer(t, nil)
	config := clientConfig()
	config.RootCAs = x509.NewCertPool()
	err := tls.Client(s.tcp(), config).Handshake()
	checktest.Needf(t, err != nil, "an unknown certificate was accepted")
	s.until("a line", func() bool { return strings.Contains(s.logged(), "the client has refused it") })
	config = clientConfig()
	config.MaxVersion, config.MinVersion = tls.VersionTLS11, tls.VersionTLS10
	err = tls.Client(s.tcp(), config).Handshake()
	checktest.Truef(t, err != nil && strings.Contains(err.Error(), "protocol version"), "TLS 1.1: %v", err)
	s.until("a line", func() bool {
		return strings.Contains(s.logged(), "client offered only unsupported versions: TLS 1.1, TLS 1.0")
	})
	s.SetConfig(nil)
	err = tls.Client(s.tcp(), clientConfig()).Handshake()
	checktest.Truef(t, err != nil, "a handshake without a certificate")
	s.until("a line", func() bool { return strings.Contains(s.logged(), "there is no certificate") })
	for range 2 * mostLines {
		c := s.tcp()
		c.Write([]byte{0x80, 1, 2, 3})
		_, err := io.ReadAll(c)
		checktest.Needf(t, err == nil || errors.Is(err, unix.ECONNRESET), "%v", err)
	}
	s.do(func() {
		checktest.Equalf(t, s.counts.failed, [reasons]int64{refused: 1, incompatible: 1, other: 1, notTLS: 2 * mostLines},
			"counted")
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	checktest.Equalf(t, len(s.lines), mostLines, "lines: %q", s.lines)
}

// Even in TLS 1.3, OpenSSL rejects a server's certificate with an unencrypted alert.
func TestPlainAlertOfOpenSSLIsUnderstood(t *testing.T) {
	s := newServer(t, nil)
	c, config := s.tcp(), clientConfig()
	config.VerifyConnection = func(tls.ConnectionState) error {
		_, err := c.Write([]byte{isAlert, 3, 3, 0, 2, 2, 48}) // fatal, unknown_ca (RFC 8446 §6)
		return errors.Join(err, io.ErrClosedPipe)
	}
	err := tls.Client(c, config).Handshake()
	checktest.Needf(t, errors.Is(err, io.ErrClosedPipe), "%v", err)
	s.until("a line", func() bool {
		return strings.Contains(s.logged(), "the client has refused it; perhaps it does not trust the certificate")
	})
	s.do(func() { checktest.Equalf(t, s.counts.failed, [reasons]int64{refused: 1}, "counted") })
}
