package pybridge

import (
	"encoding/json"
	"os"
	goruntime "runtime"
	"strconv"
	"testing"

	"fapws/runtime/exchange"
)

// A thread that waits in write() does not count as running, so another thread can run at once. After the wait, the
// thread counts again.
func TestThreadThatWaitsInWritePassesTheQueueOn(t *testing.T) {
	if loop.inline() {
		return
	}
	const threads = 4
	g := newGate(t)
	blocked := func() (all []*response) {
		for range threads {
			all = append(all, <-loop.begin(t, g.target()))
		}
		shows(t, "(?s)(in blocked.*){4}")
		return all
	}
	done := func(all []*response) {
		g.open(threads)
		for _, r := range all {
			<-r.done
		}
	}
	done(blocked())
	for range 50 {
		loop.get(t, "/writes")
	}
	writer, behind := &response{done: make(chan struct{}), hold: true}, &response{done: make(chan struct{})}
	loop.do(func() {
		loop.submitRaw(t, writer, "/writes/300000")
		loop.submitRaw(t, behind, "/text")
		loop.h.Flush()
	})
	<-behind.done
	done(blocked())
	loop.do(func() { loop.h.Cancel(writer.ticket, 0) })
	<-writer.done
	loop.do(func() {
		for i := range writer.held {
			loop.h.Release(&writer.held[i])
		}
	})
}

// The test runs every kind of result many times and checks Python's allocations and the number of descriptors.
func TestNothingLeaks(t *testing.T) {
	rounds := 30
	if n, err := strconv.Atoi(os.Getenv("FAPWS_LEAK_ROUNDS")); err == nil {
		rounds = n
	}
	// /recursion is skipped because its traceback takes 0.1 s from Python 3.13 on.
	skip := map[string]bool{"/recursion": true, "/slow": true, "/forks": true, "/stats": true, "/closed_names": true,
		"/blocked": true, "/keeps_gil": true, "/meets": true, "/shares": true, "/spins": true,
		"/stubborn": true, "/waits_lock": true, "/waits_read": true, "/waits_sleep": true, "/spins_and_catches": true,
		"/spins_later": true, "/watches": true,
		"/shares_and_returns": true, "/writes_elsewhere": true, "/joins_writer": true}
	round := func() {
		for _, m := range loop.app.Apps[0].Table {
			if skip[m.Prefix] {
				continue
			}
			r := loop.send(t, "POST "+m.Prefix+"?all", "some body")
			<-r.done
		}
		loop.get(t, "/closed_names")
	}
	measure := func() (blocks, refs float64, fds int) {
		loop.get(t, "/stats")
		var n []float64
		if err := json.Unmarshal(loop.get(t, "/stats").body.Bytes(), &n); err != nil {
			t.Fatal(err)
		}
		entries, _ := os.ReadDir("/proc/self/fd")
		return n[0], n[1], len(entries)
	}
	// Free lists, caches and cyclic garbage make the counts vary at first; a leak grows in every window.
	const windows = 12
	captured(t, func() {
		var grown [windows]float64
		blocks, refs, fds := measure()
		for w := range windows {
			for range rounds {
				round()
			}
			moreBlocks, moreRefs, moreFds := measure()
			if moreFds > fds {
				t.Errorf("%d descriptors, %d before", moreFds, fds)
			}
			grown[w] = max(moreBlocks-blocks, moreRefs-refs) / float64(rounds)
			if grown[w] < 0.3 {
				return
			}
			blocks, refs = moreBlocks, moreRefs
			// Without the GIL, the caches of each thread are full only after thousands of requests.
			rounds += rounds / 2
		}
		t.Errorf("blocks or references that stay, per round: %.2f", grown)
	})
}

func (d *driver) submitRaw(t *testing.T, r *response, target string) bool {
	r.ticket = d.next
	d.next++
	d.waiting[r.ticket] = r
	head, parsed := parseHead(t, "GET "+target, 0)
	mount, script := d.route(t, target)
	return d.h.Submit(r.ticket, &exchange.Request{Mount: mount, Head: head, Parsed: parsed, Path: []byte(target),
		Script: script, Spool: -1, Peer: testPeer})
}

// The server sends a file instead of the body, so the body cannot be shorter than Content-Length.
func TestContentLengthOfAStaticResponseIsReplaced(t *testing.T) {
	said := captured(t, func() {
		r := loop.get(t, "/static_with_length")
		if r.head.Then == nil || r.head.Length != -1 || r.failed {
			t.Errorf("continued by %v, length %d, failed %v", r.head.Then, r.head.Length, r.failed)
		}
	})
	if said != "" {
		t.Error(said)
	}
}

// A Go test can recover this panic, even if C code has installed a handler for the signal.
func TestNilPointerInGoIsAPanic(t *testing.T) {
	watchLoading("app.py")
	defer func() {
		if _, is := recover().(goruntime.Error); !is {
			t.Error("no panic")
		}
	}()
	var p *int
	*p = 1
}
