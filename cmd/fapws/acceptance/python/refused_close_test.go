package python_test

import (
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// refusal is the line about descriptors that stay open. os.closerange is one call or, in older Pythons, many.
const refusal = `warning \S+refusedclose\.py:\d+: refused to close descriptor[^;]* belongs to the server; close only descriptors that the application has opened`

// An application that closes descriptors of the server does no harm: the call is refused, the log says where
// it was made, and the server goes on.
func TestClosingIsRefused(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"few", "all", "each", "dup2"} {
		t.Run(way, func(t *testing.T) {
			fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
				s := fapwstest.Serve(t, m, "refusedclose.py")
				w := s.Dial()
				w.Get("/hello")
				w.Answer().Want(t, 200)
				for _, where := range []string{"", "?thread"} {
					w.Get("/close/" + way + where)
					if got := w.Answer().Want(t, 200).Text; got != "done" {
						t.Errorf("%q", got)
					}
				}
				w.Get("/hello")
				w.Answer().Want(t, 200)
				for range 20 { // each with a new connection
					s.Get("/hello", 200)
				}
				s.Says(refusal)
				s.Signal(syscall.SIGTERM)
				if code := s.Ended(); code != 0 {
					t.Errorf("code %d", code)
				}
			})
		})
	}
}

// The numbers of standard output and error do not become those of connections, whose clients would get the printed text.
func TestClosingStandardOutput(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "refusedclose.py")
		s.Get("/close/standard", 200)
		var clients []*fapwstest.Client
		for range 8 {
			w := s.Dial()
			w.Get("/hello")
			w.Answer().Want(t, 200)
			clients = append(clients, w)
		}
		for range 4 {
			s.Get("/output", 200)
		}
		for _, w := range clients {
			w.Get("/hello")
			w.Answer().Want(t, 200)
		}
		s.Says("on standard error")
		s.Says(refusal)
	})
}

// The same while the application loads, before anything listens.
func TestClosingWhileLoading(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"few", "all", "each", "dup2", "standard"} {
		t.Run(way, func(t *testing.T) {
			fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
				s := fapwstest.Command{Script: "refusedclose.py", Env: []string{"CLOSE=" + way}}.Serve(t, m)
				for range 20 {
					s.Get("/hello", 200)
				}
				s.Says(refusal)
				s.Signal(syscall.SIGTERM)
				if code := s.Ended(); code != 0 {
					t.Errorf("code %d", code)
				}
			})
		})
	}
}

// The application can close its own descriptors, and child processes can close all.
func TestClosingWhatIsOwn(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "refusedclose.py")
		for range 5 {
			if got := s.Get("/own", 200).Text; got != "own" {
				t.Errorf("%q", got)
			}
			if got := s.Get("/children", 200).Text; got != "4 0" {
				t.Errorf("descriptors in a program and in a forked child: %q", got)
			}
		}
	})
}
