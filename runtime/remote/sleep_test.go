package remote

import (
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/exchange"
)

// A process that ends as soon as it is ready is not used: requests to it would wait for good.
func TestEndsWhenReady(t *testing.T) {
	said := t.TempDir() + "/said"
	loaded, ready := frame{kind: kindLoaded}, frame{kind: kindReady}
	if err := os.WriteFile(said, ready.appendHead(loaded.appendHead(nil)), 0o600); err != nil {
		t.Fatal(err)
	}
	o := Options{
		Command: func() *exec.Cmd { return exec.Command("sh", "-c", `cat "$0" >&3; exec sleep 1000`, said) },
		Greet:   func() [][]byte { return nil },
		Lost:    func(how string, requests int) { t.Errorf("lost: %s, with %d requests", how, requests) },
	}
	for range 10 { // the end may be seen before
		h, _, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		_ = h.sleep.ending.cmd.Process.Kill()
		<-h.sleep.ending.exited
		var wrong *LoadError
		if err := h.Serve(Serving{}); !errors.As(err, &wrong) || wrong.Code != -1 || h.sleep.current != nil {
			t.Fatalf("%v, current process %v", err, h.sleep.current)
		}
	}
}

// Requests that are refused after a failed start leave no descriptor.
func TestRefusedAfterFailure(t *testing.T) {
	var ends [2]int
	if err := unix.Pipe(ends[:]); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(ends[0])
	h := &Handler{calls: map[exchange.Ticket]*call{}, parts: map[uintptr]*delivery{}, serving: Serving{Queue: 1}}
	h.sleep.failed = time.Now().Add(time.Hour)
	r := requestOf(t, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n")
	r.Peer, r.Path, r.Size, r.Spool = &exchange.Peer{}, []byte("/"), 3, ends[1]
	if !h.Submit(r) {
		t.Fatal("refused as if the queue was full")
	}
	var p exchange.Part
	if !h.Next(&p) || p.Head.Status != 503 {
		t.Errorf("%+v", p)
	}
	if n, err := unix.Read(ends[0], make([]byte, 1)); n != 0 || err != nil { // the end, because nothing has the other one
		t.Errorf("%d, %v", n, err)
	}
}
