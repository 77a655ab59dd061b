package live_test

import (
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/websocket/wstest"
)

func TestWebSocketsThatCannotMoveOutliveAReloadByTheGrace(t *testing.T) {
	t.Parallel()
	open := func(grace string) (*fapwstest.Server, *wstest.Client) {
		s := fapwstest.Serve(t, fapwstest.Workers, "asgisockets.py", "--graceful-timeout", "60s", "--ws-reload-grace",
			grace)
		c := s.Socket("/echo")
		s.Reload()
		return s, c
	}
	s, c := open("60s")
	for _, text := range []string{"after", "the reload"} {
		fapwstest.Must(t, c.SendText(text))
		_, got, err := c.Receive()
		fapwstest.Needf(t, err == nil && string(got) == text, "%q, %v", got, err)
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.Stop()
	}()
	closesWith(t, c, 1001, "")
	<-stopped
	_, c = open("1s")
	closesWith(t, c, 1012, "")
}

func TestGraceForWebSocketsEndsWithTheOldCode(t *testing.T) {
	t.Parallel()
	fapwstest.Command{Flags: []string{"--ws-reload-grace", "31s", "--graceful-timeout", "30s"}, Script: "asgisockets.py"}.
		Fails(t, 2, "ws-reload-grace (flag --ws-reload-grace) is 31s, longer than graceful-timeout, 30s")
}
