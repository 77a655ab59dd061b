package pybridge

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"fapws/runtime/exchange"
)

// nobody fails unless all that was known of those who were connected is forgotten.
func nobody(t *testing.T) {
	t.Helper()
	loop.do(func() {
		c := &loop.h.registry
		for _, m := range c.members {
			if m != nil {
				t.Error("somebody is still known")
			}
		}
		for place, one := range c.byPlace {
			if want := map[bool]int{false: 1, true: 0}[one.asgi]; len(one.groups) != want || len(one.groups[""]) != 0 {
				t.Errorf("%q: %d groups", place, len(one.groups))
			}
		}
	})
}

func TestBroadcastToGroup(t *testing.T) {
	a := openSocket(t, "/crowd?a")
	expect(t, a.talk.next(t), "text in a")
	b := openSocket(t, "/crowd?b")
	for _, r := range []*response{a, b} {
		expect(t, r.talk.next(t), "text in b")
	}
	dialSocket(t, "/crowd?false")
	for _, r := range []*response{a, b} {
		expect(t, r.talk.next(t), "text in false")
	}
	texts(b, "leave")
	expect(t, b.talk.next(t), "text left")
	texts(b, "to a")
	expect(t, a.talk.next(t), "text to a")
	leaveSocket(t, a, 1000, "")
	leaveSocket(t, b, 1000, "")
	if len(b.talk.messages) != 0 {
		t.Errorf("who has left the group has got %q", b.talk.messages)
	}
	expect(t, noted(t), "crowd 1000 ; crowd 1000 ")
	nobody(t)
}

// TestBroadcastTooSlow: who takes nothing is closed, and on_close told.
func TestBroadcastTooSlow(t *testing.T) {
	slow := openSocket(t, "/crowd")
	slow.talk.wait(t, "its own message", func() bool { return len(slow.talk.messages) > 0 })
	loop.do(func() { slow.hold = true })
	texts(slow, "flood")
	<-slow.done
	loop.do(func() {
		unread := 0
		for i := range slow.held {
			if slow.held[i].Op == exchange.OpBinary {
				unread += len(slow.held[i].Body)
			}
			loop.h.Release(&slow.held[i])
		}
		loop.spare = append(loop.spare, slow.ticket)
		if unread < mostBehind || unread > mostBehind+2*60000 {
			t.Errorf("it was closed when it was %d bytes behind", unread)
		}
	})
	expect(t, slow.talk.messages[len(slow.talk.messages)-1], "close 1013 too slow")
	expect(t, noted(t), "crowd 1013 too slow")
	nobody(t)
}

// TestBroadcastLeavesNothing: nothing stays of who comes and goes while others broadcast.
func TestBroadcastLeavesNothing(t *testing.T) {
	listener := openSocket(t, "/crowd?first")
	for i := range 100 {
		r := openSocket(t, fmt.Sprint("/crowd?", i))
		texts(r, "one", strings.Repeat("x", 20000))
		if i%2 == 0 {
			leaveSocket(t, r, 1000, "")
		} else {
			loop.do(func() { loop.h.Cancel(r.ticket); loop.h.Flush(); loop.drain() })
			<-r.done
		}
	}
	listener.talk.wait(t, "all that was said", func() bool {
		n := 0
		for _, m := range listener.talk.messages { // the rest of a flood may still come
			n += strings.Count(m, "text ")
		}
		return n == 301
	})
	leaveSocket(t, listener, 1000, "")
	noted(t)
	nobody(t)
}

func TestPlaces(t *testing.T) {
	places := func(mounts ...Mount) (list []string) {
		placeMounts(mounts, "app.py", map[string]int{})
		for i := range mounts {
			list = append(list, mounts[i].place)
		}
		return list
	}
	chat := Mount{Kind: WebSocket, Prefix: "/chat", Name: "WebSocket(hear)"}
	renamed := Mount{Kind: WebSocket, Prefix: "/chat", Name: "WebSocket(listen)"}
	moved := Mount{Kind: WebSocket, Prefix: "/talk", Name: "WebSocket(hear)"}
	plain := Mount{Prefix: "/chat", Name: "hear"}
	one, two := places(chat, plain, moved), places(plain, moved, plain, chat)
	if one[0] != two[3] || one[2] != two[1] || one[1] != "" {
		t.Errorf("%q, and in another order %q", one, two)
	}
	all := places(chat, chat, renamed, moved)
	seen := map[string]bool{}
	for _, place := range all {
		seen[place] = true
	}
	if len(seen) != 4 || !reflect.DeepEqual(all, places(chat, chat, renamed, moved)) {
		t.Errorf("%q", all)
	}
}
