package pybridge

import (
	"encoding/json"
	"os"
	"testing"

	"fapws/runtime/checktest"
)

// leavesNothing calls round many times. In each call, a leak adds at least one block or reference to Python's counts,
// or a descriptor.
func leavesNothing(t *testing.T, rounds int, limit float64, round func()) {
	measure := func() (blocks, refs float64, fds int) {
		loop.get(t, "/stats")
		var n []float64
		checktest.Must(t, json.Unmarshal(loop.get(t, "/stats").body.Bytes(), &n))
		entries, _ := os.ReadDir("/proc/self/fd")
		return n[0], n[1], len(entries)
	}
	// Free lists, caches and cyclic garbage make the counts vary; a leak grows in every window.
	const windows = 12
	captured(t, func() {
		var grown [windows]float64
		for range 3 { // imports modules and fills caches
			round()
		}
		blocks, refs, fds := measure()
		for w := range windows {
			for range rounds {
				round()
			}
			moreBlocks, moreRefs, moreFds := measure()
			checktest.Truef(t, moreFds <= fds, "%d descriptors, %d before", moreFds, fds)
			grown[w] = max(moreBlocks-blocks, moreRefs-refs) / float64(rounds)
			if grown[w] < limit {
				return
			}
			blocks, refs = moreBlocks, moreRefs
			// On a busy machine, temporary objects live longer. Without the GIL, the caches of each thread are full only
			// after thousands of requests.
			rounds += rounds / 2
		}
		t.Errorf("blocks or references that stay, per round: %.2f", grown)
	})
}

func TestNothingLeaks(t *testing.T) {
	// /recursion is skipped because its traceback takes 0.1 s from Python 3.13 on.
	skip := map[string]bool{"/recursion": true, "/slow": true, "/forks": true, "/stats": true, "/closed_names": true,
		"/blocked": true, "/keeps_gil": true, "/meets": true, "/shares": true, "/spins": true,
		"/stubborn": true, "/waits_lock": true, "/waits_read": true, "/waits_sleep": true, "/spins_and_catches": true,
		"/spins_later": true, "/watches": true,
		"/shares_and_returns": true, "/writes_elsewhere": true, "/joins_writer": true}
	leavesNothing(t, 30, 0.3, func() {
		for _, m := range loop.app.Apps[0].Table {
			if skip[m.Prefix] {
				continue
			}
			<-loop.send(t, "POST "+m.Prefix+"?all", "some body").done
		}
		loop.get(t, "/closed_names")
	})
}

func TestAsyncLeavesNothing(t *testing.T) {
	paths := []string{"hello", "scope", "context", "stream", "echo", "large", "raise", "raise_later", "raise_after",
		"nothing", "half",
		"head_only", "empty", "short", "file", "no_file", "cancelled", "wrong"}
	entries := []string{"text", "fields", "json", "file", "plain_generator", "generator", "bad_piece", "fails",
		"bad_result", "body", "http_error", "verbs", "double"}
	leave := func(r *response, meanwhile ...string) {
		loop.do(func() {
			loop.h.Cancel(r.ticket, 0)
			loop.h.Flush()
			loop.drain()
		})
		for _, path := range meanwhile {
			asgi(t, "GET "+path, "")
		}
		<-r.done
	}
	leavesNothing(t, 20, 0.9, func() {
		for _, path := range paths {
			asgi(t, "POST /"+path, "some body")
		}
		for _, entry := range entries {
			handler(t, "POST /"+entry, "some body")
		}
		leave(submitASGI(t, &response{}, "GET /wait", ""))
		leave(submitASGI(t, &response{}, "GET /gated", ""), "/open")
		leave(submitHandler(t, &response{}, "GET /sleeper", ""))
		handler(t, "GET /events", "")
	})
}
