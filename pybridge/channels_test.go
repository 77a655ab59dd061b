package pybridge

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"fapws/runtime/checktest"
	"fapws/runtime/exchange"
)

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

func (s *saying) change(t exchange.Ticket, group string, joins bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	what := "leaves"
	if joins {
		what = "joins"
	}
	s.all = append(s.all, fmt.Sprintf("%d %s %q", t, what, group))
}

func (s *saying) purge(patterns []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, patterns...)
}

func (s *saying) take(t *testing.T, n int) (all []string) {
	t.Helper()
	for end := time.Now().Add(generous); ; time.Sleep(time.Millisecond) {
		s.mu.Lock()
		all, s.all = append(all, s.all...), nil
		s.mu.Unlock()
		if len(all) >= n {
			return all
		}
		checktest.Needf(t, !time.Now().After(end), "only %q was said", all)
	}
}

// Many events arrive at once, and events beyond the limit are dropped.
func TestCallbacksOfChannelsRunInOrder(t *testing.T) {
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
	checktest.Needf(t, len(calls) == 2*n && strings.HasSuffix(text, " 5"),
		"%d calls, %s", len(calls), text[max(0, len(text)-100):])
	for i := range n {
		in, out := fmt.Sprintf("+room/1 %d ada é\"\n", i), fmt.Sprintf("-hall %d None None", i)
		checktest.Needf(t, calls[2*i] == in && calls[2*i+1] == out, "calls %q, want %q and %q", calls[2*i:2*i+2], in, out)
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
	checktest.Equalf(t, refused, 1, "lines that there are too many")
}

func TestLateGroupChangeDoesNotAffectTheNextWebSocket(t *testing.T) {
	mounts := loop.app.Apps[socketApp].Table
	crowd := mounts[len(mounts)-1]
	said.take(t, 0)
	loop.do(func() { loop.change = func(q *exchange.Request) { q.Upgrade = true } })
	r := loop.submitAs(t, &response{}, func(string) (int, int) { return crowd.Index, len(crowd.Prefix) }, "GET /crowd", "")
	loop.do(func() { loop.change = nil })
	all := said.take(t, 2)
	checktest.Truef(t, strings.Contains(all[0], " joins "), "%q", all)
	loop.do(func() {
		loop.h.changeGroup(uint64(r.ticket), "x", true)
		loop.h.Deliver(exchange.Input{Ticket: r.ticket, Op: exchange.OpClose, Code: 1000})
		loop.h.Flush()
		loop.drain()
	})
	<-r.done
	all = said.take(t, 0)
	checktest.Truef(t, len(all) == 0, "%q", all)
}

func TestPlaceOfAWebSocketSurvivesOtherEntries(t *testing.T) {
	places := func(mounts ...Mount) (list []string) {
		placeMounts(mounts, "app.py", map[string]int{})
		for i := range mounts {
			list = append(list, mounts[i].Place)
		}
		return list
	}
	chat := Mount{Kind: WebSocket, Prefix: "/chat", Name: "WebSocket(hear)"}
	renamed := Mount{Kind: WebSocket, Prefix: "/chat", Name: "WebSocket(listen)"}
	moved := Mount{Kind: WebSocket, Prefix: "/talk", Name: "WebSocket(hear)"}
	plain := Mount{Prefix: "/chat", Name: "hear"}
	one, two := places(chat, plain, moved), places(plain, moved, plain, chat)
	checktest.Truef(t, one[0] == two[3] && one[2] == two[1] && one[1] == "", "%q, and in another order %q", one, two)
	all := places(chat, chat, renamed, moved)
	seen := map[string]bool{}
	for _, place := range all {
		seen[place] = true
	}
	checktest.Truef(t, len(seen) == 4 && reflect.DeepEqual(all, places(chat, chat, renamed, moved)), "%q", all)
}
