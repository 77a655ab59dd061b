package acceptance

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
)

// heldBack asks a server for how many requests had to wait for their client.
func (s *server) heldBack() int {
	code, stdout, stderr := s.ctl("status", "--json")
	var report struct {
		Workers []struct {
			HeldBack int `json:"held_back"`
		}
	}
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || len(report.Workers) != 1 {
		s.t.Fatalf("%d %q: %v %s", code, stdout, err, stderr)
	}
	return report.Workers[0].HeldBack
}

// takesAll reads an answer of ahead.py.
func (w *wire) takesAll() error {
	r, err := http.ReadResponse(w.in, nil)
	if err != nil {
		return err
	}
	if n, err := io.Copy(io.Discard, r.Body); err != nil || n != 8<<20 {
		return fmt.Errorf("%d bytes, %v", n, err)
	}
	return nil
}

// A client that asks for large answers on many connections and reads nothing makes the application begin only a few: those that
// wait for it are bounded over all its connections. Others do not wait, and all it has asked for comes when it reads.
func TestUnreadAnswersAreBounded(t *testing.T) {
	const connections = 32
	// 64 MiB, of 8 each, and for each thread one that has begun already. The kernel takes some of each, too.
	const most = 8 + 8 + 4
	for _, path := range []string{"/whole", "/items", "/generator", "/handler", "/asgi"} {
		t.Run(path[1:], func(t *testing.T) {
			inOneProcess(t, func(t *testing.T, m mode) {
				s := serve(t, m, "ahead.py")
				where := "/begun"
				if path == "/asgi" || path == "/handler" {
					where = "/async/begun"
				}
				other := dialFrom(t, "127.0.0.2", s.address)
				begun := func() int {
					other.get(where)
					n, _ := strconv.Atoi(other.answer().body)
					return n
				}
				var all [connections]*wire
				for i := range all {
					all[i] = s.dial()
					_ = all[i].Conn.(*net.TCPConn).SetReadBuffer(64 << 10)
					all[i].get(path)
				}
				if path == "/generator" { // each answer begins, and its generator waits
					eventually(t, "all have begun", func() bool { return begun() == connections })
				} else {
					eventually(t, "the others wait", func() bool { return begun()+s.heldBack() >= connections })
					if n := begun(); n > most {
						t.Errorf("%d have begun, and nothing was read", n)
					}
				}
				var ends sync.WaitGroup
				for i, w := range all {
					ends.Add(1)
					go func() {
						defer ends.Done()
						if err := w.takesAll(); err != nil {
							t.Errorf("answer %d: %v", i, err)
						}
					}()
				}
				ends.Wait()
			})
		})
	}
}

// A client that reads nothing does not keep its other requests waiting for longer than the write timeout.
func TestUnreadAnswersTimeOut(t *testing.T) {
	inOneProcess(t, func(t *testing.T, m mode) {
		s := serve(t, m, "ahead.py", "--write-timeout", "3")
		unread := s.dial()
		unread.get("/huge") // more than may wait
		if _, err := unread.in.Peek(1); err != nil {
			t.Fatal(err)
		}
		w := s.dial()
		w.get("/whole")
		if err := w.takesAll(); err != nil {
			t.Error(err)
		}
	})
}
