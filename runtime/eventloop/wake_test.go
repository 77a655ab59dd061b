package eventloop

import (
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"

	"fapws/runtime/checktest"
)

func TestSleepingLoopIsWokenOnce(t *testing.T) {
	event := checktest.Try(unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)).Must(t)
	defer unix.Close(event)
	state := new(int32)
	w := &Waker{Event: event, State: state}
	var token [8]byte
	for _, c := range []struct{ before, tokens int32 }{{Awake, 0}, {Asleep, 1}, {Called, 0}} {
		*state = c.before
		w.Wake()
		w.Wake()
		n, err := unix.Read(event, token[:])
		checktest.Truef(t, (c.tokens != 0 || err == unix.EAGAIN) &&
			(c.tokens != 1 || n == 8 && binary.NativeEndian.Uint64(token[:]) == 1) &&
			*state == Called, "in state %d: read %d, %v, %v; state %d", c.before, n, err, token, *state)
	}
}
