package live_test

import (
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/websocket/wstest"
)

func TestGroupMessageReachesASGIWebSocketsInAllWorkers(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Command{Script: "groups.py:application"}.Serve(t, m)
		a, b := onBoth(s, "/")
		both := func(want string) {
			t.Helper()
			gets(t, a, want)
			gets(t, b, want)
		}
		fapwstest.Eventually(t, "two are in the lobby", func() bool { return s.Get("/?lobby", 200).Text == "2" })
		says(t, a, "to lobby hello")
		both("hello")
		says(t, b, "thread from a thread")
		both("from a thread")
		says(t, b, `json {"é": [1, null]}`)
		both(`{"é":[1,null]}`)
		fapwstest.Must(t, a.Send(wstest.Binary, []byte{0, 255, 7}))
		both("\x00\xff\x07")

		says(t, b, "join other")
		gets(t, b, "joined")
		says(t, a, "to other for one")
		gets(t, b, "for one")
		says(t, b, "leave lobby")
		gets(t, b, "left")
		says(t, a, "to lobby not for b")
		says(t, a, "to other for b")
		gets(t, b, "for b")
		gets(t, a, "not for b")
		early := s.Socket("/?early")
		gets(t, early, "before it is accepted")
		gets(t, early, "and in order")
		_, err := wstest.Dial(s.Address, "/?refused")
		fapwstest.Truef(t, err != nil, "it was not refused")
		says(t, a, "close")
		closesWith(t, a, 4000, "")
		fapwstest.Eventually(t, "the lobby is empty", func() bool { return s.Get("/?lobby", 200).Text == "0" })
		says(t, b, "errors")
		gets(t, b, strings.Join([]string{
			"TypeError groups.join: takes a WebSocket or its ASGI scope, not None",
			"TypeError groups.join: takes a WebSocket or its ASGI scope, not {'type': 'http'}",
			"RuntimeError groups.join: this WebSocket does not belong to fapws",
			"TypeError a group must be a str, not int",
			"ValueError a group must have 1 to 128 characters, not 129",
			"ValueError groups.join: a WebSocket can be in up to 1000 groups",
			"ValueError a group must have 1 to 128 characters, not 0",
			"ValueError broadcast: the message has 70000 bytes; --channel-max-event allows 65536",
			"TypeError Object of type object is not JSON serializable",
			"TypeError a group must be a str, not int",
		}, "\n"))
	})
}
