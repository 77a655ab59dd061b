package live_test

import (
	"sync"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/websocket/wstest"
)

// TestWebSocketCases: those of the Autobahn test suite, by their numbers, with applications
// that echo.
func TestWebSocketCases(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "echo.py")
		for _, path := range []string{"/callbacks", "/asgi"} {
			var all sync.WaitGroup
			at := make(chan struct{}, 20)
			try := func(id string, run func() error) {
				at <- struct{}{}
				all.Go(func() {
					if err := run(); err != nil {
						t.Errorf("%s, %s: %v", path, id, err)
					}
					<-at
				})
			}
			for _, tc := range wstest.Cases() {
				try(tc.ID, func() error { return tc.Run(s.Address, path) })
			}
			for _, offer := range wstest.Offers {
				try(offer, func() error { return wstest.Compression(s.Address, path, offer) })
			}
			all.Wait()
		}
	})
}
