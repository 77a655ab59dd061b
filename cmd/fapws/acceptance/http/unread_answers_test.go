package http_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// waits asks a server for how many requests had to wait for their client, and how many bytes of responses wait in its memory.
func waits(s *fapwstest.Server) (heldBack, unsent int) {
	code, stdout, stderr := s.Ctl("status", "--json")
	var report struct {
		Workers []struct {
			HeldBack int `json:"held_back"`
			Unsent   int
		}
	}
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || len(report.Workers) != 1 {
		s.T.Fatalf("%d %q: %v %s", code, stdout, err, stderr)
	}
	return report.Workers[0].HeldBack, report.Workers[0].Unsent
}

// takesAll reads an answer of ahead.py.
func takesAll(w *fapwstest.Client) error {
	r, err := http.ReadResponse(w.In, nil)
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
	// The kernel takes some of each answer, on some systems half of it; so many connections that the rest of all is above most.
	const connections = 48
	// 64 MiB, and for each of the 8 threads an answer of 8 MiB that has begun already.
	const most = 64<<20 + 8*8<<20
	for _, path := range []string{"/whole", "/items", "/generator", "/handler", "/asgi"} {
		t.Run(path[1:], func(t *testing.T) {
			fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
				s := fapwstest.Serve(t, m, "ahead.py")
				where := "/begun"
				if path == "/asgi" || path == "/handler" {
					where = "/async/begun"
				}
				other := dialFrom(t, "127.0.0.2", s.Address)
				begun := func() int {
					other.Get(where)
					n, _ := strconv.Atoi(other.Answer().Text)
					return n
				}
				var all [connections]*fapwstest.Client
				for i := range all {
					all[i] = s.Dial()
					_ = all[i].Conn.(*net.TCPConn).SetReadBuffer(64 << 10)
					all[i].Get(path)
				}
				if path == "/generator" { // each answer begins, and its generator waits
					fapwstest.Eventually(t, "all have begun", func() bool { return begun() == connections })
				} else {
					fapwstest.Eventually(t, "the others wait", func() bool {
						heldBack, _ := waits(s)
						return begun()+heldBack >= connections
					})
					if _, unsent := waits(s); unsent > most {
						t.Errorf("%d bytes wait of %d answers, and nothing was read", unsent, begun())
					}
				}
				var ends sync.WaitGroup
				for i, w := range all {
					ends.Add(1)
					go func() {
						defer ends.Done()
						if err := takesAll(w); err != nil {
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
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "ahead.py", "--write-timeout", "3")
		unread := s.Dial()
		unread.Get("/huge") // more than may wait
		if _, err := unread.In.Peek(1); err != nil {
			t.Fatal(err)
		}
		w := s.Dial()
		w.Get("/whole")
		if err := takesAll(w); err != nil {
			t.Error(err)
		}
	})
}
