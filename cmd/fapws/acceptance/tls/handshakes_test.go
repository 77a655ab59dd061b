package tls_test

import (
	"bytes"
	"crypto/tls"
	"net"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestClientWithoutAHandshakeIsDisconnectedForAnotherClient(t *testing.T) {
	t.Parallel()
	s, config := secured(t, fapwstest.Threads, "--tls-max-handshakes", "1", "--tls-timeout", "1h")
	silent := s.Dial()
	w, _ := dial(t, s, config)
	serves(w)
	silent.Closed()
	serves(w)
}

func TestClientWithMostHandshakesIsDisconnectedFirst(t *testing.T) {
	t.Parallel()
	s, config := secured(t, fapwstest.Threads, "--tls-max-handshakes", "3", "--tls-timeout", "1h")
	from := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	slow, err := from.Dial("tcp", s.Address)
	fapwstest.Must(t, err)
	defer slow.Close()
	first, second := s.Dial(), s.Dial()
	w, _ := dial(t, s, config)
	serves(w)
	first.Closed()
	fapwstest.Must(t, tls.Client(slow, config).Handshake())
	fapwstest.Must(t, tls.Client(second.Conn, config).Handshake())
}

func TestUnfinishedClientHelloNeedsOneDescriptorAndLittleMemory(t *testing.T) {
	t.Parallel()
	s, config := secured(t, fapwstest.Threads)
	descriptors, memory := len(s.Descriptors()), s.RSS()
	for i := range 1000 {
		c := s.Dial()
		// The TLS record has 16,000 bytes, and contains the beginning of a ClientHello of 60,000 or 16,380 bytes.
		size := [2][2]byte{{0xea, 0x60}, {0x3f, 0xfc}}[i%2]
		record := append([]byte{22, 3, 1, 0x3e, 0x80, 1, 0, size[0], size[1]}, make([]byte, 16000-4)...)
		for range 3 - 2*(i%2) {
			_, _ = c.Write(record)
		}
	}
	w, _ := dial(t, s, config)
	serves(w)
	n := len(s.Descriptors()) - descriptors
	fapwstest.Truef(t, n <= 1010, "%d descriptors", n)
	grown := s.RSS() - memory
	fapwstest.Truef(t, grown <= 80<<20, "%d MiB", grown>>20)
}

// dotted replaces the last letter of the host name in a ClientHello by a dot.
type dotted struct{ net.Conn }

func (d dotted) Write(b []byte) (int, error) {
	_, err := d.Conn.Write(bytes.ReplaceAll(b, []byte("example.orgx"), []byte("example.org.")))
	return len(b), err
}

func TestLogExplainsAHostNameWithADotAtTheEnd(t *testing.T) {
	t.Parallel()
	s, config := secured(t, fapwstest.Threads)
	named := config.Clone()
	named.ServerName = "example.orgx"
	fapwstest.Truef(t, tls.Client(dotted{s.Dial().Conn}, named).Handshake() != nil, "the handshake succeeded")
	s.Says("TLS handshake failed: a message of the client is malformed; perhaps the host name in it ends with a dot")
}
