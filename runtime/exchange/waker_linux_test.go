package exchange

import (
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
	napping := new(int32)
	w := &Waker{Socket: pair[1], Event: event, Napping: napping}
	own, err := w.Duplicate()
	if err != nil {
		t.Fatal(err)
	}
	all := polled(t)
	if !all[pair[0]] {
		t.Fatal("what is in Go's poller is not found")
	}
	if all[own.Socket] || all[own.Event] {
		t.Error("Go's poller has what wakes the loop")
	}

	own.Wake()
	var token [8]byte
	if n, err := unix.Read(pair[0], token[:]); n != 1 || err != nil || token[0] != 0 {
		t.Error(n, err, token)
	}
	*napping = 1
	own.Wake()
	if n, err := unix.Read(event, token[:]); n != 8 || err != nil || *napping != 0 {
		t.Error(n, err, *napping)
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
