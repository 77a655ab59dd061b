package samples

import (
	"encoding/json"
	"testing"
)

type second struct {
	Second  int64
	Time    string
	Viewers int
}

// nextSecond reads the next event of the clock and its id.
func nextSecond(t *testing.T, in *lines) (id string, now second) {
	t.Helper()
	id = in.next("id: ")
	if event := in.next("event: "); event != "tick" {
		t.Fatalf("event %q", event)
	}
	if err := json.Unmarshal([]byte(in.next("data: ")), &now); err != nil {
		t.Fatal(err)
	}
	return id, now
}

func TestClock(t *testing.T) {
	t.Parallel()
	s := start(t, "clock/clock.py")
	resp, body := s.get("/")
	s.want(resp, body, 200, `new EventSource("/events")`)

	const viewers = 5
	var streams []*lines
	for range viewers {
		resp := s.open(s.request("GET", "/events", nil))
		defer resp.Body.Close()
		if got := resp.Header.Get("Content-Type"); resp.StatusCode != 200 || got != "text/event-stream" {
			t.Fatalf("%s, Content-Type %q", resp.Status, got)
		}
		streams = append(streams, linesOf(t, resp.Body))
	}
	// Everybody is told the same, second by second, and how many they are.
	in := streams[0]
	firstID, first := nextSecond(t, in)
	var following second
	for last := first; last.Viewers != viewers || following.Second == 0; {
		_, now := nextSecond(t, in)
		if now.Second <= last.Second {
			t.Errorf("second %d after %d", now.Second, last.Second)
		}
		if now.Second > first.Second+120 {
			t.Fatalf("still %d viewers, want %d", now.Viewers, viewers)
		}
		if last = now; following.Second == 0 {
			following = now
		}
	}
	for _, other := range streams[1:] {
		id, now := nextSecond(t, other)
		if now.Second < first.Second || id < firstID && len(id) <= len(firstID) {
			t.Errorf("another viewer begins with %s, %v after %s, %v", id, now, firstID, first)
		}
	}

	// A client that reconnects gets the missed events at once.
	back := s.open(s.request("GET", "/events", nil, "Last-Event-ID", firstID))
	defer back.Body.Close()
	if _, now := nextSecond(t, linesOf(t, back.Body)); now.Second != following.Second {
		t.Errorf("second %d after %d", now.Second, first.Second)
	}
	resp, body = s.get("/")
	s.want(resp, body, 200)
}
