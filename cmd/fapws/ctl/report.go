package ctl

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// write shows a report to people or, as JSON, to programs.
func (r *Report) write(w io.Writer, asJSON bool) error {
	if asJSON {
		text, err := json.Marshal(r)
		if err != nil {
			return err
		}
		_, err = w.Write(append(text, '\n'))
		return err
	}
	var b strings.Builder
	how := "Python " + r.Python + ", " + r.Mode
	if r.Python == "" {
		how = "without Python"
	}
	fmt.Fprintf(&b, "fapws %s, %s, pid %d, up %s\n", r.Version, how, r.PID, period(r.Uptime))
	where := "not served yet"
	if len(r.Addresses) > 0 {
		where = "on " + strings.Join(r.Addresses, "  ")
	}
	fmt.Fprintf(&b, "%s %s\n", r.App, where)
	if r.Failure != "" {
		fmt.Fprintf(&b, "the last reload failed: %s\n", r.Failure)
	}
	fmt.Fprintf(&b, "%8s  %-9s %8s %8s %10s\n", "WORKER", "STATE", "AGE", "MEMORY", "REQUESTS")
	for i := range r.Workers {
		r.Workers[i].row(&b)
	}
	for _, worker := range r.Workers {
		if worker.Cut > 0 {
			fmt.Fprintf(&b, "worker %d: %d responses ended because more than max-unsent waited for slow clients; %.1f MB wait now\n",
				worker.PID, worker.Cut, float64(worker.Unsent)/1e6)
		}
	}
	if r.Cache != nil && r.Cache.Limit > 0 {
		fmt.Fprintln(&b, r.Cache)
	}
	_, err := io.WriteString(w, visible(b.String()))
	return err
}

// period is a time in seconds as people say it: 12s, 5m12s, 3h12m, 4d3h.
func period(seconds float64) string {
	d := time.Duration(seconds) * time.Second
	switch {
	case d < time.Hour:
		return d.String()
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%dh", int(d.Hours())/24, int(d.Hours())%24)
}
