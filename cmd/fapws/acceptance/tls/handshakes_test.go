package tls_test

import (
	"io"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// At --tls-max-handshakes, the other client waits for a second.
func TestClientWithoutAHandshakeIsDisconnectedForAnotherClient(t *testing.T) {
	t.Parallel()
	s, config := secured(t, fapwstest.Threads, "--tls-max-handshakes", "1", "--tls-timeout", "1h")
	silent := s.Dial()
	w, _ := dial(t, s, config)
	w.Send(fapwstest.Request("POST", "/length", "x"))
	w.Answer().Want(t, 200)
	if rest, err := io.ReadAll(silent); len(rest) > 0 || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
	w.Send(fapwstest.Request("POST", "/length", "x"))
	w.Answer().Want(t, 200)
}

func TestUnfinishedClientHelloNeedsOneDescriptorAndLittleMemory(t *testing.T) {
	t.Parallel()
	s, config := secured(t, fapwstest.Threads)
	descriptors, memory := len(s.Descriptors()), s.RSS()
	for i := range 1000 {
		c := s.Dial()
		// Records of 16,000 bytes, which begin a ClientHello of 60,000 or 16,384.
		size := [2][2]byte{{0xea, 0x60}, {0x3f, 0xfc}}[i%2]
		record := append([]byte{22, 3, 1, 0x3e, 0x80, 1, 0, size[0], size[1]}, make([]byte, 16000-4)...)
		for range 3 - 2*(i%2) {
			_, _ = c.Write(record) // the connection may be closed
		}
	}
	w, _ := dial(t, s, config)
	w.Send(fapwstest.Request("POST", "/length", "x"))
	w.Answer().Want(t, 200)
	if n := len(s.Descriptors()) - descriptors; n > 1010 {
		t.Errorf("%d descriptors", n)
	}
	if grown := s.RSS() - memory; grown > 80<<20 {
		t.Errorf("%d MiB", grown>>20)
	}
}
