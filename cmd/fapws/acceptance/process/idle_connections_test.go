package process_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestIdleConnectionsMoveToTheNewWorkers(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Workers, fapwstest.Forks, fapwstest.Inline,
		{Name: "proxy"}}, func(t *testing.T, m fapwstest.Mode) {
		flags, announced := []string{"--max-requests", "1000000"}, ""
		if m.Name == "proxy" {
			flags, announced = append(flags, "--proxy-protocol", "--forwarded-allow-ips", "127.0.0.1"),
				"PROXY TCP4 192.0.2.9 192.0.2.1 4711 80\r\n"
		}
		code := func(text string) string {
			return fmt.Sprintf("PATHS = [('/', lambda environ, start_response: %q + environ.get('REMOTE_ADDR', ''))]\n",
				text)
		}
		s := edited(t, m, code("old "), flags...)
		from := "127.0.0.1"
		if announced != "" {
			from = "192.0.2.9"
		}
		var idle []*fapwstest.Client
		for range 8 {
			w := s.Dial()
			w.Send(announced)
			if text := w.Fetch("/").Text; text != "old "+from {
				t.Fatalf("%q", text)
			}
			idle = append(idle, w)
		}
		unused := s.Dial()
		for i, change := range []func(){s.Reload, s.Upgrade} {
			text := fmt.Sprintf("new %d ", i)
			fapwstest.Must(t, os.WriteFile(s.path, []byte(code(text)), 0o644))
			change()
			for n, w := range idle {
				if a := w.Fetch("/"); a.Text != text+from || a.Close {
					t.Errorf("connection %d: %q, closes: %v", n, a.Text, a.Close)
				}
			}
		}
		unused.Send(announced)
		if a := unused.Fetch("/"); !strings.HasPrefix(a.Text, "new 1 "+from) {
			t.Errorf("unused connection: %q", a.Text)
		}
	})
}
