package main

import (
	"os/exec"
	"strings"
	"testing"
)

// TestArrows: packages import downwards only. The loop knows no Python, the
// bridge no connections, and the parser nothing at all.
func TestArrows(t *testing.T) {
	for _, c := range []struct {
		from   string
		allows []string
	}{
		{"fapws/runtime/http1", nil},
		{"fapws/runtime/exchange", []string{"fapws/runtime/http1"}},
		{"fapws/runtime/accesslog", nil},
		{"fapws/runtime/static", []string{"fapws/runtime/http1", "fapws/runtime/exchange"}},
		{"fapws/runtime", []string{"fapws/runtime/http1", "fapws/runtime/exchange", "fapws/runtime/static", "fapws/runtime/accesslog"}},
		{"fapws/pybridge", []string{"fapws/runtime/http1", "fapws/runtime/exchange"}},
		{"fapws/cmd/fapws/watch", nil},
		{"fapws/cmd/fapws/ctl", nil},
		{"fapws/cmd/fapws/settings", []string{"fapws/runtime/http1"}},
		{"fapws/cmd/fapws/supervisor", []string{"fapws/runtime", "fapws/runtime/http1", "fapws/runtime/exchange", "fapws/runtime/static", "fapws/runtime/accesslog"}},
	} {
		out, err := exec.Command("go", "list", "-deps", c.from).Output()
		if err != nil {
			t.Fatalf("go list %s: %v", c.from, err)
		}
		allowed := " " + c.from + " " + strings.Join(c.allows, " ") + " "
		for _, dep := range strings.Fields(string(out)) {
			if strings.HasPrefix(dep, "fapws/") && !strings.Contains(allowed, " "+dep+" ") {
				t.Errorf("%s imports %s", c.from, dep)
			}
			if c.from == "fapws/runtime/http1" && strings.Contains(dep, ".") {
				t.Errorf("%s imports %s, which is not std", c.from, dep)
			}
		}
	}
}
