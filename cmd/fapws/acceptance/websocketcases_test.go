package acceptance

import (
	"sync"
	"testing"

	"fapws/runtime/websocket/wstest"
)

// TestWebSocketCases: those of the Autobahn test suite, by their numbers, with applications
// that echo.
func TestWebSocketCases(t *testing.T) {
	inOneProcess(t, func(t *testing.T, m mode) {
		s := serve(t, m, "echo.py")
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
				try(tc.ID, func() error { return tc.Run(s.address, path) })
			}
			for _, offer := range wstest.Offers {
				try(offer, func() error { return wstest.Compression(s.address, path, offer) })
			}
			all.Wait()
		}
	})
}
