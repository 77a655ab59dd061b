package live

import (
	"testing"
	"testing/synctest"
	"time"
)

// Export gives up if no handler hands over a client for ten seconds.
func TestExportWaitsTenSecondsForAHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, sweeps := time.Now(), 0
		_, err := export(t.Context(), func(any, int) error { return nil }, func(f func()) { f() }, 10*time.Second,
			func(late, _ bool) (list []departed, more bool) {
				time.Sleep(time.Second)
				if sweeps++; sweeps == 5 {
					list = []departed{{fd: -1}}
				}
				return list, !late
			}, func() {})
		if took := time.Since(began); err != nil || took < 15*time.Second || took > 17*time.Second {
			t.Errorf("one left after 5 s, and after %v no other was waited for: %v", took, err)
		}
	})
}
