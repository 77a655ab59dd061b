package samples

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/websocket/wstest"
)

type webSocket struct {
	t *testing.T
	*wstest.Client
}

func (s *server) talk(path string, fields ...string) *webSocket {
	s.T.Helper()
	return &webSocket{s.T, s.Socket(path, fields...)}
}

// denial returns the status with which the server rejects a WebSocket.
func (s *server) denial(path string) int {
	s.T.Helper()
	var denied *wstest.Denied
	_, err := wstest.Dial(s.Address, path)
	fapwstest.Needf(s.T, errors.As(err, &denied), "WebSocket %s: %v", path, err)
	return denied.Response.StatusCode
}

func (w *webSocket) send(text string) {
	w.t.Helper()
	fapwstest.Must(w.t, w.SendText(text))
}

func (w *webSocket) next() string {
	w.t.Helper()
	op, text, err := w.Receive()
	fapwstest.Needf(w.t, err == nil && op == wstest.Text, "no message: %v, kind %d", err, op)
	return string(text)
}

// await reads messages, which are JSON, until wanted returns true.
func (w *webSocket) await(what string, wanted func(message map[string]any) bool) map[string]any {
	w.t.Helper()
	for {
		var message map[string]any
		text := w.next()
		fapwstest.Mustf(w.t, json.Unmarshal([]byte(text), &message), "%q", text)
		if wanted(message) {
			return message
		}
	}
}

func (w *webSocket) closed() int {
	w.t.Helper()
	for {
		_, _, err := w.Receive()
		var end *wstest.Closed
		if errors.As(err, &end) {
			return end.Code
		}
		fapwstest.Mustf(w.t, err, "the server has left without a close frame")
	}
}

func (w *webSocket) leave(code int) {
	w.t.Helper()
	end, err := w.CloseWith(code, "")
	fapwstest.Truef(w.t, err == nil && end.Code == code, "closed with %v, %v, want %d", end, err, code)
}

func (w *webSocket) gets(want string) {
	w.t.Helper()
	for {
		if got := w.next(); got == want {
			return
		}
	}
}

func TestFastAPIChatReachesAllPeopleOfARoom(t *testing.T) {
	t.Parallel()
	fapwstest.NeedModule(t, "fastapi")
	s := startServer(t, []string{"--workers", "2"}, "fastapi/chat.py", nil)
	s.get("/").want(200, "<title>Chat</title>")
	const people = 8
	var all []*webSocket
	for i := range people {
		w := s.talk(fmt.Sprint("/rooms/den?name=c", i))
		w.gets(fmt.Sprintf(`{"name":"c%d","text":"is here"}`, i))
		all = append(all, w)
	}
	other := s.talk("/rooms/other")
	for i, speaker := range all {
		speaker.send("Hello ☕")
		for _, w := range all {
			w.gets(fmt.Sprintf(`{"name":"c%d","text":"Hello ☕"}`, i))
		}
	}
	s.do(s.request("POST", "/rooms/den?text=dinner", strings.NewReader(""))).want(204)
	for _, w := range all {
		w.gets(`{"name":"announcement","text":"dinner"}`)
	}
	other.gets(`{"name":"guest","text":"is here"}`)
	count := func(want string) {
		t.Helper()
		eventually(t, want, func() bool { return s.get("/rooms/den").body == want })
	}
	count(`{"people":8}`)
	all[0].leave(1000)
	for _, w := range all[1:] {
		w.gets(`{"name":"c0","text":"has left"}`)
	}
	count(`{"people":7}`)
	other.send("nobody else is here")
	other.gets(`{"name":"guest","text":"nobody else is here"}`)
}

// onPage returns the block of Python in docs/live.md that contains text.
func onPage(t *testing.T, text string) string {
	t.Helper()
	page := fapwstest.Try(os.ReadFile("../docs/live.md")).Must(t)
	for _, block := range strings.Split(string(page), "```python ")[1:] {
		_, block, _ = strings.Cut(block, "\n")
		if block, _, _ = strings.Cut(block, "```"); strings.Contains(block, text) {
			return block
		}
	}
	t.Fatalf("no block of docs/live.md has %q", text)
	return ""
}

// scriptOnPage writes the block of Python in docs/live.md that contains text to a file, and returns the name of the
// file.
func scriptOnPage(t *testing.T, text string) string {
	t.Helper()
	return fapwstest.Write(t, t.TempDir()+"/chat.py", onPage(t, text))
}

func TestGroupsOfTheDocsReachClientsOfAllWorkers(t *testing.T) {
	t.Parallel()
	fapwstest.NeedModule(t, "fastapi")
	s := startServer(t, []string{"--workers", "2"}, scriptOnPage(t, "groups.join(websocket, room)"), nil)
	var all []*webSocket
	for i := range 8 {
		w := s.talk("/rooms/den")
		w.send(fmt.Sprint("here ", i))
		w.gets(fmt.Sprint("here ", i)) // the client has joined
		all = append(all, w)
	}
	all[3].send("hello")
	for _, w := range all {
		w.gets("hello")
	}
}
