package results

import (
	"fmt"
	"slices"
	"strings"
)

// Quiet is the largest load average of a machine that does nothing else.
const Quiet = 0.5

// mostSpread is the largest quotient of two measurements of a server that the page shows. With a larger quotient, the
// order of the servers may be chance.
const mostSpread = 1.3

// Fit returns an error if these results must not be published, because the machine was busy, or because the program
// cannot be built again from a commit.
func (r *Results) Fit() error {
	switch version := r.Versions["fapws"]; {
	case len(r.Workloads) == 0:
		return nil
	case version == "" || strings.HasSuffix(version, ".dirty"):
		return fmt.Errorf("fapws %s is not the version of a commit: commit the changes, and measure again", version)
	case r.Machine.Load > Quiet:
		return fmt.Errorf("the machine had a load of %.1f, more than %g: measure again when it does nothing else",
			r.Machine.Load, Quiet)
	}
	return nil
}

// Unsteady returns a line for each workload that the page does not show, because the measurements of a server differ
// too much.
func (r *Results) Unsteady() (lines []string) {
	for i := range r.Workloads {
		w := &r.Workloads[i]
		if s, spread := w.unsteadiest(); spread > mostSpread {
			lines = append(lines, fmt.Sprintf("%s: the highest measurement of %s is %.2f × the lowest", capital(w.Title),
				shown(s.Name), spread))
		}
	}
	return lines
}

// unsteadiest returns the server with the largest quotient of its highest and its lowest measurement: of its rate, or
// of its start. The quotient is 1 if the workload measures neither.
func (w *Workload) unsteadiest() (found *Server, spread float64) {
	spread = 1
	for i := range w.Servers {
		s := &w.Servers[i]
		for _, value := range []func(Sample) float64{rate, start} {
			values := s.values(value)
			if len(values) == 0 || slices.Max(values) == 0 {
				continue
			}
			if quotient := slices.Max(values) / slices.Min(values); found == nil || quotient > spread {
				found, spread = s, quotient
			}
		}
	}
	return found, spread
}

// steady returns r with only the workloads that the page may show.
func (r *Results) steady() *Results {
	steady := *r
	steady.Workloads = slices.DeleteFunc(slices.Clone(r.Workloads), func(w Workload) bool {
		_, spread := w.unsteadiest()
		return spread > mostSpread
	})
	return &steady
}
