package cli_test

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// A request that began before the first "fapws ctl top" is active, and no longer after its end.
func TestFirstCtlTopShowsEarlierRequests(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Inline, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		release := filepath.Join(t.TempDir(), "release")
		s := fapwstest.Command{Script: "metrics.py", Env: []string{"RELEASE=" + release}}.Serve(t, m)
		done := make(chan error, 1)
		go func() {
			r, err := http.Get(s.URL + "/waits")
			if err == nil {
				readAll(r)
			}
			done <- err
		}()
		fapwstest.Eventually(t, "the handler runs", func() bool { return strings.Contains(s.Control("stack"), "in waits") })
		var seen struct {
			InFlight float64 `json:"in_flight"`
			Active   []struct{ Request string }
		}
		fapwstest.Must(t, json.Unmarshal([]byte(s.Control("top", "--once", "--json")), &seen))
		if seen.InFlight != 1 || len(seen.Active) != 1 {
			t.Errorf("%+v", seen)
		}
		if !m.Inline() { // an inline handler blocks the loop, which counts
			samples(t, s, "fapws_requests_in_flight", 1)
		}
		fapwstest.Write(t, release, "")
		fapwstest.Must(t, <-done)
		samples(t, s, "fapws_requests_in_flight", 0)
		if text := metricsOf(t, s); strings.Contains(text, `fapws_request_duration_seconds_count{host="",route="/waits"`) {
			t.Errorf("a request whose beginning was not noted has a duration:\n%s", text)
		}
	})
}

// The profile is complete, and shows no thread of the server.
func TestProfileMayTakeLongerThanTheTimeout(t *testing.T) {
	for _, script := range []string{"metrics.py", "version.py"} {
		s := fapwstest.Serve(t, fapwstest.Threads, script, "--status", "/_fapws", "--timeout", "2s")
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			a, text := answerTo(t, s, asked{method: "POST", path: "/_fapws/profile"})
			if a.StatusCode != 200 || !strings.Contains(text, "No Python code has run.") {
				t.Errorf("%d %s", a.StatusCode, text)
			}
		})
	}
}
