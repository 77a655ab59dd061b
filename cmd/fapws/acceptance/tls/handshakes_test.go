package tls_test

import (
	"io"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// A client that begins no handshake keeps others waiting for a second, if there may be no more handshakes, and is cut off for them then.
func TestMaxHandshakes(t *testing.T) {
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
