package pybridge

import (
	"fmt"
	goruntime "runtime"
	"strings"
	"sync"
	"testing"

	"fapws/runtime/checktest"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
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
		checktest.Truef(t, r.head.Then != nil && r.head.Length == -1 && !r.failed,
			"continued by %v, length %d, failed %v", r.head.Then, r.head.Length, r.failed)
	})
	checktest.Equal(t, said, "")
}

// A Go test can recover this panic, even if C code has installed a handler for the signal.
func TestNilPointerInGoIsAPanic(t *testing.T) {
	watchLoading("app.py")
	defer func() {
		_, is := recover().(goruntime.Error)
		checktest.Truef(t, is, "no panic")
	}()
	var p *int
	*p = 1
}

func freeThreaded() bool { return strings.HasSuffix(Version(), "t") && loop.h.Warning() == "" }

func TestHandlersComputeInParallelWithoutTheGIL(t *testing.T) {
	if !freeThreaded() || loop.inline() {
		return
	}
	target := fmt.Sprintf("/meets?%v", generous.Seconds())
	first, second := loop.begin(t, target), loop.begin(t, target)
	for _, sent := range []chan *response{first, second} {
		r := <-sent
		<-r.done
		checktest.Equal(t, r.body.String(), "met")
	}
}

func TestSharedObjectsOfARequestMayBeUsedOnOtherThreads(t *testing.T) {
	var all sync.WaitGroup
	rounds := 10
	if freeThreaded() {
		rounds = 50
	}
	for i := range 4 {
		all.Go(func() {
			for range rounds {
				for _, path := range []string{"/shares", "/shares_and_returns"} {
					<-loop.send(t, fmt.Sprintf("POST %s?%d", path, i), strings.Repeat("line\n", 1000)).done
				}
			}
		})
	}
	all.Wait()
	checktest.Equalf(t, loop.get(t, "/shared_wrong").body.String(), "[]", "threads failed")
}

// The thread waits in write() for the client. After the request has ended, the thread must not use the record of the
// request.
func TestWriteOnAnotherThreadEndsWithItsHandler(t *testing.T) {
	if loop.inline() {
		return
	}
	r := loop.submit(t, &response{hold: true}, "GET /writes_elsewhere", "")
	for begun := false; !begun; loop.get(t, "/text") {
		loop.do(func() { begun = r.body.Len() > 0 })
	}
	loop.get(t, "/lets_return")
	<-r.done
	checktest.Equalf(t, loop.get(t, "/joins_writer").body.String(), "ended", "the thread")
	loop.release(r)
}

// The loop recovers from a panic and goes on with other requests, so a panic must not leave the mutex of the records locked
// or a record without a request.
func TestPanicInAMethodOfTheHandlerAffectsNoOtherRequest(t *testing.T) {
	active := func() (n int) {
		loop.do(func() { n = len(loop.h.tasks()) })
		return n
	}
	before := active()
	loop.do(func() {
		head, parsed := parseHead(t, "GET /text", 0)
		outside := http1.Span{Off: uint32(len(head)), Len: 9}
		beyond := *parsed
		beyond.Host, beyond.Plain, beyond.Path = outside, true, outside
		r := exchange.Request{Head: head, Parsed: &beyond, Path: []byte("/text"), Spool: -1, Peer: testPeer}
		for range 3 {
			checktest.Panics(t, func() { loop.h.Submit(loop.next, &r) })
			checktest.Panics(t, func() { loop.h.Submit(loop.next, &exchange.Request{Head: head, Parsed: parsed, Spool: -1}) })
		}
		r.Parsed, r.Mount = parsed, 1<<20
		checktest.Panics(t, func() { loop.h.Submit(loop.next, &r) })
		checktest.Panics(t, func() { loop.h.Resume(loop.next) })
		loop.h.Cancel(loop.next, 0)
		loop.h.Deliver(exchange.Input{Ticket: loop.next})
	})
	checktest.Equalf(t, active(), before, "records")
	for range 3 {
		checktest.Equal(t, loop.get(t, "/text").head.Status, 200)
	}
}
