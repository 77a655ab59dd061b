package eventloop

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Go's poller would wake a thread of Go at each wake-up of the loop, thousands of
// times a second, if it had the descriptors of a duplicate.
func TestDuplicateIsNotPolled(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	event, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(event)
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])

	watched := os.NewFile(uintptr(pair[0]), "watched") // so that there is a poller
	defer watched.Close()
	state := new(int32)
	w := &Waker{Event: event, State: state, Signals: pair[1]}
	own, err := w.Duplicate()
	if err != nil {
		t.Fatal(err)
	}
	all := polled(t)
	if !all[pair[0]] {
		t.Fatal("what is in Go's poller is not found")
	}
	if all[own.Signals] || all[own.Event] {
		t.Error("Go's poller has what wakes the loop")
	}

	var token [8]byte
	for _, c := range []struct{ before, tokens int32 }{{Awake, 0}, {Asleep, 1}, {Called, 0}} {
		*state = c.before
		own.Wake()
		own.Wake()
		n, err := unix.Read(event, token[:])
		if c.tokens == 0 && err != unix.EAGAIN || c.tokens == 1 && (n != 8 || binary.NativeEndian.Uint64(token[:]) != 1) || *state != Called {
			t.Errorf("in state %d: read %d, %v, %v; state %d", c.before, n, err, token, *state)
		}
	}
}

// polled returns the descriptors that are in an epoll of this process.
func polled(t *testing.T) map[int]bool {
	infos, err := filepath.Glob("/proc/self/fdinfo/*")
	if err != nil {
		t.Fatal(err)
	}
	all := map[int]bool{}
	for _, name := range infos {
		text, _ := os.ReadFile(name) // the descriptor of the folder is gone
		for line := range strings.Lines(string(text)) {
			var fd int
			if n, _ := fmt.Sscanf(line, "tfd: %d", &fd); n == 1 {
				all[fd] = true
			}
		}
	}
	return all
}
