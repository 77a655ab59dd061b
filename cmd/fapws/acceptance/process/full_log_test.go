package process_test

import (
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestFullLogFailsNoRequest(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "fulllog.py", Complains: true}.Serve(t, fapwstest.Threads)
	for _, breaks := range []string{"/fill", "/leave", "/stall"} {
		s.Get(breaks, 200)
		for range 3 {
			s.Get("/say", 200).Is(t, "said")
		}
		s.Get("/raises", 500)
		s.Get("/mend", 200)
		s.Get("/say", 200).Is(t, "said")
		s.Says(`fapws: lost [1-9]\d+ lines before this one\nby print\nby wsgi.errors\nERROR:root:by logging\n`)
	}
}
