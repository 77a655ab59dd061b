package samples

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// There are two workers and eight people in the room, and the channel layer is fapws itself.
func TestDjangoChatReachesAllPeopleOfARoom(t *testing.T) {
	t.Parallel()
	fapwstest.NeedModule(t, "channels")
	s := startServer(t, []string{"--workers", "2"}, "channels/chat.py", nil)
	s.get("/").want(200, "<title>Chat</title>")
	var all []*webSocket
	for range 8 {
		all = append(all, s.talk("/rooms/den"))
	}
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
			c := s.layerClient()
			text := fmt.Sprint(c.ask("receive/shared"))
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
