package live_test

import (
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/websocket/wstest"
)

func groupsOnBoth(s *fapwstest.Server, m fapwstest.Mode) (a, b *wstest.Client) {
	s.T.Helper()
	pid := func(c *wstest.Client) string {
		says(s.T, c, "pid")
		for {
			if got := told(s.T, c); strings.Trim(got, "0123456789") == "" {
				return got
			}
		}
	}
	a = s.Socket("/")
	first := pid(a)
	fapwstest.Eventually(s.T, "a WebSocket is accepted by the other worker", func() bool {
		b = s.Socket("/")
		if second := pid(b); !m.Workers() || second != first {
			return true
		}
		leaves(s.T, b)
		return false
	})
	return a, b
}

func leaves(t *testing.T, c *wstest.Client) {
	t.Helper()
	if _, err := c.CloseWith(1000, ""); err != nil {
		t.Error(err)
	}
}

func hearsNext(t *testing.T, c *wstest.Client) string {
	t.Helper()
	for {
		if got := told(t, c); !strings.HasPrefix(got, "closed with") {
			return got
		}
	}
}

func TestGroupMessageReachesASGIWebSocketsInAllWorkers(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Command{Script: "groups.py:application"}.Serve(t, m)
		a, b := groupsOnBoth(s, m)
		both := func(want string) {
			t.Helper()
			for _, c := range []*wstest.Client{a, b} {
				if got := hearsNext(t, c); got != want {
					t.Errorf("got %.100q; want %.100q", got, want)
				}
			}
		}
		fapwstest.Eventually(t, "two are in the lobby", func() bool { return s.Get("/?lobby", 200).Text == "2" })
		says(t, a, "to lobby hello")
		both("hello")
		says(t, b, "thread from a thread")
		both("from a thread")
		says(t, b, `json {"é": [1, null]}`)
		both(`{"é":[1,null]}`)
		if err := a.Send(wstest.Binary, []byte{0, 255, 7}); err != nil {
			t.Error(err)
		}
		both("\x00\xff\x07")

		says(t, b, "join other")
		hearsJoined := func(want string) {
			t.Helper()
			if got := hearsNext(t, b); got != want {
				t.Errorf("got %q; want %q", got, want)
			}
		}
		hearsJoined("joined")
		says(t, a, "to other for one")
		hearsJoined("for one")
		says(t, b, "leave lobby")
		hearsJoined("left")
		says(t, a, "to lobby not for b")
		says(t, a, "to other for b")
		hearsJoined("for b")
		if got := hearsNext(t, a); got != "not for b" {
			t.Errorf("got %q", got)
		}
		early := s.Socket("/?early")
		gets(t, early, "before it is accepted")
		gets(t, early, "and in order")
		if _, err := wstest.Dial(s.Address, "/?refused"); err == nil {
			t.Error("it was not refused")
		}
		says(t, a, "close")
		closesWith(t, a, 4000, "")
		fapwstest.Eventually(t, "the lobby is empty", func() bool { return s.Get("/?lobby", 200).Text == "0" })
		says(t, b, "errors")
		if got := hearsNext(t, b); got != strings.Join([]string{
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
		}, "\n") {
			t.Errorf("got %s", got)
		}
	})
}
