package fapwstest

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

// Ask sends a request over a new connection.
func (s *Server) Ask(text string) *Answer {
	s.T.Helper()
	w := s.Dial()
	defer w.Close()
	w.Send(text)
	method, _, _ := strings.Cut(text, " ")
	return w.AnswerTo(method)
}

func (s *Server) Get(target string, status int, fields ...string) *Answer {
	s.T.Helper()
	return s.Ask(Get(target, fields...)).Want(s.T, status)
}

// Until504 repeats requests for target, whose handler must time out, until the log has a match of pattern. On a busy
// machine, a request may time out before its handler runs.
func (s *Server) Until504(target, pattern string) (match []string) {
	s.T.Helper()
	Eventually(s.T, pattern+" in the log", func() bool {
		s.Get(target, 504)
		for range 2000 {
			if match = regexp.MustCompile(pattern).FindStringSubmatch(s.Stderr.String()); match != nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		return match != nil
	})
	return match
}

func TooBig(t *testing.T, s *Server, request, more string) {
	t.Helper()
	w := s.Dial()
	w.Send(request)
	w.Send(more)
	a := w.Answer().Want(t, 413, "input body too big")
	if !a.Close {
		t.Errorf("no Connection: close with 413: %q", a.Header)
	}
	w.Closed()
}
