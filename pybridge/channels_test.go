package pybridge

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fapws/runtime/exchange"
)

// saying is a message of the application to the loop.
type saying struct {
	mu  sync.Mutex
	all []string
}

var said saying

func (s *saying) events(events []Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var cost int64
	for _, e := range events {
		text := fmt.Sprintf("%s|%s|%s|%s", e.Name, e.ID, e.Type, e.Data)
		if e.Place != "" {
			text = fmt.Sprintf("broadcast %q %t: %.20s", e.Group(), e.Binary, e.Data)
		}
		s.all = append(s.all, text)
		cost += e.Cost()
	}
	loop.h.Dealt(cost)
}

func (s *saying) join(t exchange.Ticket, group string)  { s.change("joins", t, group) }
func (s *saying) leave(t exchange.Ticket, group string) { s.change("leaves", t, group) }

func (s *saying) change(what string, t exchange.Ticket, group string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, fmt.Sprintf("%d %s %q", t, what, group))
}

func (s *saying) purge(pattern string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, pattern)
}

// take returns the messages since the last call, at least n.
func (s *saying) take(t *testing.T, n int) (all []string) {
	t.Helper()
	for end := time.Now().Add(generous); len(all) < n; time.Sleep(time.Millisecond) {
		s.mu.Lock()
		all, s.all = append(all, s.all...), nil
		s.mu.Unlock()
		if time.Now().After(end) {
			t.Fatalf("only %q was said", all)
		}
	}
	return all
}

// TestListens: what makes a client a subscriber, and what does not.
func TestListens(t *testing.T) {
	for target, want := range map[string][3]string{
		"/listens":          {"one, two", "X-A: b\r\nX-B: c\r\n", "data: hello\n\n"},
		"/listens_by_field": {"one, two,three", "X-A: b\r\n", "data: hello\n\n"},
		"/listens_not":      {"", "Content-Type: text/plain\r\n", "nothing"},
	} {
		r := loop.get(t, target)
		got := [3]string{string(r.head.Channel), r.fields, r.body.String()}
		if got != want {
			t.Errorf("%s: %q, want %q", target, got, want)
		}
		if joins := want[0] != ""; joins && (r.head.Status != 200 || r.head.Length != -1 || !strings.HasPrefix(string(r.head.Request), "GET "+target)) {
			t.Errorf("%s: %+v", target, r.head)
		}
	}
}

// TestSays: messages arrive in order, and before the response of the handler that sent them.
func TestSays(t *testing.T) {
	said.mu.Lock()
	said.all = nil
	said.mu.Unlock()
	const purge = `{"path": "/page"}`
	want := []string{"one|id|kind|text", `two|||{"a":"é"}`}
	for range 3 {
		r := loop.get(t, "/publishes")
		if r.body.String() != "published" {
			t.Errorf("%q", r.body.String())
		}
		got := said.take(t, 1)
		at := slices.Index(got, purge) // anywhere between the events
		if at < 0 || !slices.Equal(slices.Delete(got, at, at+1), want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestNotices: callbacks are told in order, however many come at once, and what is
// beyond the bound is refused and forgotten.
func TestNotices(t *testing.T) {
	loop.get(t, "/tells")
	CountSubscribers("one", false, 2)
	CountSubscribers("one", true, 3)
	defer CountSubscribers("one", false, 0)
	defer CountSubscribers("one", true, 0)
	const n = 3*atOnce + 1
	loop.do(func() {
		for i := range n {
			loop.h.NotifyPresence(PresenceEvent{Name: "room/1", Number: uint64(i), User: "ada", LastID: "é\"\n"})
			loop.h.NotifyPresence(PresenceEvent{Name: "hall", Number: uint64(i), Left: true})
		}
	})
	loop.h.Notified(generous)
	text := loop.get(t, "/tells").body.String()
	calls := strings.Split(strings.TrimSuffix(text, " 5"), ",")
	if len(calls) != 2*n || !strings.HasSuffix(text, " 5") {
		t.Fatalf("%d calls, %s", len(calls), text[max(0, len(text)-100):])
	}
	for i := range n {
		if in, out := fmt.Sprintf("+room/1 %d ada é\"\n", i), fmt.Sprintf("-hall %d None None", i); calls[2*i] != in || calls[2*i+1] != out {
			t.Fatalf("calls %q, want %q and %q", calls[2*i:2*i+2], in, out)
		}
	}
	refused := 0
	loop.do(func() {
		for range mostNotices + 100 {
			if !loop.h.NotifyPresence(PresenceEvent{Name: "unknown"}) {
				refused++
			}
		}
	})
	loop.h.Notified(generous)
	if refused != 1 {
		t.Errorf("it was said %d times that there are too many", refused)
	}
}

// TestSubscriberCounts: the table grows and shrinks, and keeps names apart.
func TestSubscriberCounts(t *testing.T) {
	name := func(i int) string { return fmt.Sprintf("count/%d", i) }
	for i := range 3000 {
		CountSubscribers(name(i), i%2 == 0, int64(i))
	}
	CountSubscribers("one", false, 7)
	if text := loop.get(t, "/tells").body.String(); !strings.HasSuffix(text, " 7") {
		t.Error(text)
	}
	for i := range 3000 {
		CountSubscribers(name(i), i%2 == 0, 0)
	}
	CountSubscribers("one", true, 1)
	CountSubscribers("one", false, 0)
	if text := loop.get(t, "/tells").body.String(); !strings.HasSuffix(text, " 1") {
		t.Error(text)
	}
	CountSubscribers("one", true, 0)
	if text := loop.get(t, "/tells").body.String(); !strings.HasSuffix(text, " 0") {
		t.Error(text)
	}
}
