package live_test

import (
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestWebSocketsPassTheAutobahnCases(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "echo.py")
		for _, path := range []string{"/callbacks", "/asgi"} {
			fapwstest.WebSocketCases(t, s.Address, path)
		}
	})
}
