package acceptance

import (
	"syscall"
	"testing"
)

// refusal is the line about descriptors that stay open. os.closerange is one call or, in older Pythons, many.
const refusal = `warning \S+refusedclose\.py:\d+: refused to close descriptor[^;]* belongs to the server; close only descriptors that the application has opened`

// An application that closes descriptors of the server does no harm: the call is refused, the log says where
// it was made, and the server goes on.
func TestClosingIsRefused(t *testing.T) {
	for _, way := range []string{"few", "all", "each", "dup2"} {
		t.Run(way, func(t *testing.T) {
			inModesAndForks(t, func(t *testing.T, m mode) {
				s := serve(t, m, "refusedclose.py")
				w := s.dial()
				w.get("/hello")
				w.answer().want(t, 200)
				for _, where := range []string{"", "?thread"} {
					w.get("/close/" + way + where)
					if got := w.answer().want(t, 200).body; got != "done" {
						t.Errorf("%q", got)
					}
				}
				w.get("/hello")
				w.answer().want(t, 200)
				for range 20 { // each with a new connection
					s.get("/hello", 200)
				}
				s.says(refusal)
				s.signal(syscall.SIGTERM)
				if code := s.ended(); code != 0 {
					t.Errorf("code %d", code)
				}
			})
		})
	}
}

// The numbers of standard output and error do not become those of connections, whose clients would get the printed text.
func TestClosingStandardOutput(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s := serve(t, m, "refusedclose.py")
		s.get("/close/standard", 200)
		var clients []*wire
		for range 8 {
			w := s.dial()
			w.get("/hello")
			w.answer().want(t, 200)
			clients = append(clients, w)
		}
		for range 4 {
			s.get("/output", 200)
		}
		for _, w := range clients {
			w.get("/hello")
			w.answer().want(t, 200)
		}
		s.says("on standard error")
		s.says(refusal)
	})
}

// The same while the application loads, before anything listens.
func TestClosingWhileLoading(t *testing.T) {
	for _, way := range []string{"few", "all", "each", "dup2", "standard"} {
		t.Run(way, func(t *testing.T) {
			inModesAndForks(t, func(t *testing.T, m mode) {
				s := command{script: "refusedclose.py", env: []string{"CLOSE=" + way}}.serve(t, m)
				for range 20 {
					s.get("/hello", 200)
				}
				s.says(refusal)
				s.signal(syscall.SIGTERM)
				if code := s.ended(); code != 0 {
					t.Errorf("code %d", code)
				}
			})
		})
	}
}

// What is the application's own can be closed, and child processes can close everything.
func TestClosingWhatIsOwn(t *testing.T) {
	inModesAndForks(t, func(t *testing.T, m mode) {
		s := serve(t, m, "refusedclose.py")
		for range 5 {
			if got := s.get("/own", 200).body; got != "own" {
				t.Errorf("%q", got)
			}
			if got := s.get("/children", 200).body; got != "4 0" {
				t.Errorf("descriptors in a program and in a forked child: %q", got)
			}
		}
	})
}
