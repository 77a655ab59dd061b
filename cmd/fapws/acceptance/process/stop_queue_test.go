package process_test

import (
	"strings"
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestQueuedRequestsAreAnsweredAtStop(t *testing.T) {
	for signal, sig := range map[string]syscall.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT} {
		for _, flags := range [][]string{nil, {"--workers", "1"}, {"--max-clients", "1"},
			{"--workers", "1", "--max-clients", "2"}} {
			t.Run(signal+" "+strings.Join(flags, " "), func(t *testing.T) {
				fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
					m.Flags = append(append([]string{}, m.Flags...), flags...)
					s, folder := fapwstest.ServeSlow(t, m)
					busy := s.Dial()
					busy.Get("/wait")
					fapwstest.FileSays(t, folder+"/entered", "yes")
					var queued []*fapwstest.Client
					for range 6 {
						w := s.Dial()
						w.Get("/pid")
						queued = append(queued, w)
					}
					s.Signal(sig)
					s.Says("info stopping")
					fapwstest.Write(t, folder+"/go", "")
					busy.Answer().Is(t, "waited")
					for i, w := range queued {
						if a, err := w.Reads(); err != nil || a.StatusCode != 200 {
							t.Errorf("request %d: %v, %v", i, a, err)
						}
					}
					s.EndsWith(0)
				})
			})
		}
	}
}
