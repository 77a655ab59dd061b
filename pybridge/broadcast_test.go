package pybridge

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestGroups: the loop gets joins, leaves and broadcasts of a WebSocket in order, and none of a closed one.
func TestGroups(t *testing.T) {
	said.mu.Lock()
	said.all = nil
	said.mu.Unlock()
	expectSaid := func(want ...string) {
		t.Helper()
		if got := said.take(t, len(want)); !slices.Equal(got, want) {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
	place := ""
	for _, m := range loop.app.Mounts(socketApp) {
		if m.Prefix == "/crowd" {
			place = strings.TrimSuffix(m.Group(), "\x00")
		}
	}
	x, all := fmt.Sprintf("%q", place+"\x00x"), fmt.Sprintf("%q", place+"\x00")
	a := openSocket(t, "/crowd?a")
	expectSaid(fmt.Sprintf("%d joins %s", a.ticket, x), "broadcast "+x+" false: in a")
	texts(a, "leave")
	expect(t, a.talk.next(t), "text left")
	texts(a, "to x")
	expectSaid(fmt.Sprintf("%d leaves %s", a.ticket, x), "broadcast "+x+" false: to x")
	texts(a, "flood")
	flood := make([]string, 40)
	for i := range flood {
		flood[i] = "broadcast " + all + " true: " + strings.Repeat("x", 20)
	}
	expectSaid(flood...)
	leaveSocket(t, a, 1000, "")
	expect(t, noted(t), "crowd 1000 ")
	loop.do(func() { loop.h.changeGroup(uint64(a.ticket), "x", true) }) // of an earlier WebSocket with that ticket
	expectSaid()
}

func TestPlaces(t *testing.T) {
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
