package python_test

import (
	"io"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestWriteSendsBeforeTheResult(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Inline, fapwstest.Forks},
		func(t *testing.T, m fapwstest.Mode) {
			s := fapwstest.Command{Script: "write.py", Args: []string{t.TempDir()}, Complains: true}.Serve(t, m)
			s.Get("/only", 200).Is(t, "one,tw\u00f6,three,four").Field(t, "Content-Type", "text/plain")
			s.Get("/file", 200).Is(t, "before 0123456789")
			s.Get("/json", 200).Is(t, `before {"a":1}`)
			s.Get("/generator", 200).Is(t, "before one,between,two")
			s.Ask("GET /generator HTTP/1.0\r\n\r\n").Is(t, "before one,between,two")
			w := s.Dial()
			w.Send(fapwstest.Request("HEAD", "/generator", ""), fapwstest.Get("/"))
			w.AnswerTo("HEAD").Want(t, 200)
			w.Answer().Is(t, "quick")

			s.Get("/early", 500)
			s.Says(`AssertionError: write\(\) before start_response\(\)`)
			s.Get("/number", 500)
			s.Says(`TypeError: a response must consist of str or bytes, not int: 7`)
			a := s.Ask(fapwstest.Get("/none"))
			fapwstest.Truef(t, a.Err != nil && a.Text == "written", "none: %q, %v", a.Text, a.Err)
			s.Says(`handler none returned None;`)
			fapwstest.Equal(t, len(s.Get("/many?200", 200).Text), 200*65536+3)
		})
}

func TestWriteWaitsForAClientThatDoesNotRead(t *testing.T) {
	// Inline mode is not tested: the event loop runs the handler, and could not send data while write() waits.
	t.Parallel()
	folder := t.TempDir()
	s := fapwstest.Command{Script: "write.py", Args: []string{folder}}.Serve(t, fapwstest.Threads)

	w := s.Dial()
	w.Get("/many?1000")
	r := w.Head("GET")
	before := s.RSS()
	for range 100 {
		s.Get("/", 200).Is(t, "quick")
	}
	grown := s.RSS() - before
	fapwstest.Truef(t, grown <= 30<<20, "%d MB more while a client does not read", grown>>20)
	n, err := io.Copy(io.Discard, r.Body)
	fapwstest.Truef(t, n == 1000*65536+3 && err == nil, "%d bytes, %v", n, err)

	for _, how := range []string{"caught", "raise"} {
		w = s.Dial()
		w.Get("/endless?" + how)
		w.Head("GET")
		w.Reset()
	}
	fapwstest.FileSays(t, folder+"/ended", "ClientDisconnected\nClientDisconnected\n")
	s.Get("/", 200).Is(t, "quick")
}

func TestWriteThatWaitsLeavesThreadsForOthers(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := fapwstest.Command{Flags: []string{"--threads", "2"}, Script: "write.py", Args: []string{folder},
		Complains: true}.Serve(t, fapwstest.Threads)
	var clients []*fapwstest.Client
	for range 12 {
		w := s.Dial()
		w.Get("/endless?caught")
		w.Head("GET")
		clients = append(clients, w)
	}
	for range 20 {
		s.Get("/", 200).Is(t, "quick")
	}
	for _, w := range clients {
		w.Reset()
	}
	fapwstest.FileSays(t, folder+"/ended", strings.Repeat("ClientDisconnected\n", len(clients)))
	for range 300 {
		s.Dial().Get("/endless?caught")
	}
	s.Says(
		`handler endless, GET /endless\?caught HTTP/1.1 from 127.0.0.1: response ended: too many threads wait for ` +
			`clients that do not read`)
	s.Get("/", 200).Is(t, "quick")
}
