package acceptance

import (
	"io"
	"strings"
	"testing"
)

func TestWrite(t *testing.T) {
	inModesAndForks(t, func(t *testing.T, m mode) {
		s := command{script: "write.py", args: []string{t.TempDir()}, complains: true}.serve(t, m)
		s.get("/only", 200).is(t, "one,tw\u00f6,three,four").field(t, "Content-Type", "text/plain")
		s.get("/file", 200).is(t, "before 0123456789")
		s.get("/generator", 200).is(t, "before one,between,two")
		s.ask("GET /generator HTTP/1.0\r\n\r\n").is(t, "before one,between,two")
		w := s.dial()
		w.send(request("HEAD", "/generator", ""), get("/"))
		w.answerTo("HEAD").want(t, 200)
		w.answer().is(t, "quick")

		s.get("/early", 500)
		s.says(`AssertionError: write\(\) before start_response\(\)`)
		s.get("/number", 500)
		s.says(`TypeError: a response is made of str or bytes, not of int: 7`)
		if a := s.ask(get("/none")); a.err == nil || a.body != "written" {
			t.Errorf("none: %q, %v", a.body, a.err)
		}
		s.says(`handler none returned None;`)
		if a := s.get("/many?1000", 200); len(a.body) != 1000*65536+3 {
			t.Errorf("%d bytes", len(a.body))
		}
	})
}

// With threads, write() waits for a client that does not read, and no memory
// fills up; others are served meanwhile. When the client leaves it raises, which
// ends the handler and is no error.
func TestWriteWaits(t *testing.T) {
	t.Parallel() // inline the loop, which makes room, is what runs the handler
	folder := t.TempDir()
	s := command{script: "write.py", args: []string{folder}}.serve(t, modes[0])

	w := s.dial()
	w.get("/many?2000")
	r := w.head("GET")
	before := s.rss()
	for range 100 {
		s.get("/", 200).is(t, "quick")
	}
	if grown := s.rss() - before; grown > 30<<20 {
		t.Errorf("%d MB more while a client does not read", grown>>20)
	}
	if n, err := io.Copy(io.Discard, r.Body); n != 2000*65536+3 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}

	for _, how := range []string{"caught", "raise"} {
		w = s.dial()
		w.get("/endless?" + how)
		w.head("GET")
		w.reset()
	}
	fileSays(t, folder+"/ended", "BrokenPipeError\nBrokenPipeError\n")
	s.get("/", 200).is(t, "quick")
}

// A thread that waits in write() for a client that does not read does not count for --threads: such clients, however
// many, keep no other from its response.
func TestWriteHoldsNoThread(t *testing.T) {
	t.Parallel() // inline, write() does not wait
	for _, m := range []mode{modes[0], modes[2]} {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			s := command{flags: []string{"--threads", "2"}, script: "write.py", args: []string{folder}}.serve(t, m)
			var clients []*wire
			for range 12 {
				w := s.dial()
				w.get("/endless?caught")
				w.head("GET")
				clients = append(clients, w)
			}
			for range 20 {
				s.get("/", 200).is(t, "quick")
			}
			for _, w := range clients {
				w.reset()
			}
			fileSays(t, folder+"/ended", strings.Repeat("BrokenPipeError\n", len(clients)))
			s.get("/", 200).is(t, "quick")
		})
	}
}
