package live_test

import (
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// TestWebSocketCases runs the cases of the Autobahn test suite with applications that echo.
func TestWebSocketCases(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "echo.py")
		for _, path := range []string{"/callbacks", "/asgi"} {
			fapwstest.WebSocketCases(t, s.Address, path)
		}
	})
}
