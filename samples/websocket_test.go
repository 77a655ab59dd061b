package samples

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

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
	for _, block := range strings.Split(string(fapwstest.Try(os.ReadFile("../docs/live.md")).Must(t)), "```python ")[1:] {
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

// There are two workers and eight people in the room, and the channel layer is fapws itself.
func TestDjangoChatReachesAllPeopleOfARoom(t *testing.T) {
	t.Parallel()
	fapwstest.NeedModule(t, "channels")
	s := startServer(t, []string{"--workers", "2"}, "channels/chat.py", nil)
	s.get("/").want(200, "<title>Chat</title>")
	all := fapwstest.Repeat(8, func(int) *webSocket { return s.talk("/rooms/den") })
	other := s.talk("/rooms/other")
	for i, speaker := range all {
		speaker.send(fmt.Sprintf(`{"text": "line %d"}`, i))
		for _, w := range all {
			w.gets(fmt.Sprintf(`{"text": "line %d"}`, i))
		}
	}
	s.get("/announce/den?text=dinner").want(204)
	for _, w := range all {
		w.gets(`{"text": "dinner"}`)
	}
	other.send(`{"text": "nobody else is here"}`)
	fapwstest.Equal(t, other.next(), `{"text": "nobody else is here"}`)
}

// layerClient sends requests to one worker of testdata/layer.py, over one connection.
type layerClient struct {
	s      *server
	client *http.Client
}

func (s *server) layerClient() *layerClient {
	return &layerClient{s, &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxConnsPerHost: 1}}}
}

func (c *layerClient) ask(path string) (answer any) {
	c.s.T.Helper()
	resp, err := c.client.Get(c.s.URL + "/" + path)
	if err != nil {
		c.s.T.Error(err)
		return nil
	}
	defer resp.Body.Close()
	err = json.NewDecoder(resp.Body).Decode(&answer)
	fapwstest.Truef(c.s.T, err == nil && resp.StatusCode == 200, "%s: %s, %v", path, resp.Status, err)
	return answer
}

// onBothLayers returns clients of different workers. The clients connect at the same time. If they connected one
// after the other, the same idle worker could accept all connections.
func (s *server) onBothLayers() (a, b *layerClient) {
	s.T.Helper()
	for range 200 {
		var clients [8]*layerClient
		var pids [8]any
		var all sync.WaitGroup
		for i := range clients {
			clients[i] = s.layerClient()
			all.Go(func() { pids[i] = clients[i].ask("pid") })
		}
		all.Wait()
		other := slices.IndexFunc(pids[:], func(pid any) bool { return pid != pids[0] })
		for i, c := range clients {
			if other < 0 || i != 0 && i != other {
				c.client.CloseIdleConnections()
			}
		}
		if other > 0 {
			return clients[0], clients[other]
		}
	}
	s.T.Fatal("all connections are those of one worker")
	return nil, nil
}

func TestChannelLayerMeetsTheSpecificationInAllWorkers(t *testing.T) {
	t.Parallel()
	fapwstest.NeedModule(t, "channels")
	s := startServer(t, []string{"--workers", "2", "--lifespan", "off"}, "testdata/layer.py", nil)
	a, b := s.onBothLayers()
	cases := a.ask("cases").([]any)
	fapwstest.Needf(t, len(cases) >= 10, "only %d cases", len(cases))
	for _, c := range []*layerClient{a, b} {
		for _, name := range cases {
			fapwstest.Equal(t, c.ask("check/"+name.(string)), "ok")
		}
	}
	receives := func(c *layerClient, channel, want string) {
		t.Helper()
		fapwstest.Equal(t, fmt.Sprint(c.ask("receive/"+channel)), "map[text:"+want+"]")
	}
	mine, other := a.ask("new").(string), b.ask("new").(string)
	b.ask("send/" + mine + "?text=direct")
	receives(a, mine, "direct")
	a.ask("send/normal?text=to+whoever")
	receives(b, "normal", "to whoever")
	for _, channel := range []string{mine, other, "normal"} {
		b.ask("add/everybody?channel=" + channel) // The channel may belong to any worker.
	}
	a.ask("group/everybody?text=to+all")
	receives(a, mine, "to all")
	receives(b, other, "to all")
	receives(b, "normal", "to all")

	// The test sends as many messages as there are receivers. Each receiver must get one message.
	const messages = 40
	var all sync.WaitGroup
	var mu sync.Mutex
	var got []string
	for i := range messages {
		all.Go(func() {
			text := fmt.Sprint(s.layerClient().ask("receive/shared"))
			mu.Lock()
			defer mu.Unlock()
			got = append(got, text)
		})
		all.Go(func() { []*layerClient{a, b}[i%2].ask(fmt.Sprintf("send/shared?text=%02d", i)) })
	}
	all.Wait()
	slices.Sort(got)
	for i, text := range got {
		fapwstest.Needf(t, text == fmt.Sprintf("map[text:%02d]", i), "received %v", got)
	}

	a.client.CloseIdleConnections()
	b.client.CloseIdleConnections()
	s.Reload()
	a, b = s.onBothLayers()
	mine = b.ask("new").(string)
	b.ask("add/everybody?channel=" + mine)
	a.ask("group/everybody?text=after+the+reload")
	receives(b, mine, "after the reload")
}
