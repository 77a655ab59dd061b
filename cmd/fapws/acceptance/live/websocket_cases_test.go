package live_test

import (
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestWebSocketsPassTheAutobahnCases(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		path := map[bool]string{true: "/asgi", false: "/callbacks"}[m.Inline()]
		fapwstest.WebSocketCases(t, fapwstest.Serve(t, m, "echo.py").Address, path)
	})
}
