package acceptance

import "testing"

// A log that cannot be written fails no request. What is lost is counted, and told when there is room again.
func TestFullLog(t *testing.T) {
	inOneProcess(t, func(t *testing.T, m mode) {
		s := command{script: "fulllog.py", complains: true}.serve(t, m)
		for _, breaks := range []string{"/fill", "/leave"} {
			s.get(breaks, 200)
			for range 3 {
				s.get("/say", 200).is(t, "said")
			}
			s.get("/raises", 500)
			s.get("/mend", 200)
			s.get("/say", 200).is(t, "said")
			s.says(`fapws: [1-9]\d+ lines before this one could not be written\nby print\nby wsgi.errors\nERROR:root:by logging\n`)
		}
	})
}

// With --fork, the lines that one process has lost are reported by the next one.
func TestFullLogOfForks(t *testing.T) {
	t.Parallel()
	s := command{script: "fulllog.py", complains: true}.serve(t, forks)
	s.get("/lose", 200).is(t, "said")
	s.get("/say", 200).is(t, "said")
	s.says(`fapws: [1-9]\d* lines before this one could not be written\nby print\n`)
}
