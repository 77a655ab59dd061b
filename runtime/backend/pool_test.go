package backend

import (
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fapws/runtime/checktest"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"

	"golang.org/x/sys/unix"
)

type rig struct {
	*Handler
	t     *testing.T
	log   chan string
	parts chan exchange.Part
	all   []exchange.Part
}

func newRig(t *testing.T, to Func) *rig {
	r := &rig{t: t, log: make(chan string, 1), parts: make(chan exchange.Part, 100)}
	r.Handler = New(1, func(line string) { r.log <- line }).Handler(to)
	return r
}

func (r *rig) submit() (body int, ok bool) { return r.submitAs(0) }

func (r *rig) submitAs(ticket exchange.Ticket) (body int, ok bool) {
	body = checktest.Try(unix.Open(r.t.TempDir(), unix.O_RDONLY, 0)).Must(r.t)
	services := &exchange.Services{Publish: func(_ exchange.Ticket, p *exchange.Part) { r.parts <- *p }}
	ok = r.Submit(ticket, &exchange.Request{Parsed: &http1.Request{Version: http1.HTTP2}, Peer: &exchange.Peer{}, Spool: body,
		Services: services})
	return body, ok
}

func (r *rig) take(bytes int64) (last exchange.Part) {
	checktest.Eventually(r.t, "parts", func() bool {
		for len(r.parts) > 0 {
			last = <-r.parts
			r.all = append(r.all, last)
			bytes -= last.Size()
		}
		return bytes <= 0 || last.Last()
	})
	return last
}

func (r *rig) release() {
	for i := range r.all {
		r.Release(&r.all[i])
	}
	r.all = nil
}

// The pool closes the body files of rejected requests. If a responder panics before it sends the head, the
// response has status 500; after the head, the response is aborted.
func TestPoolRejectsRequestsAboveItsLimit(t *testing.T) {
	begun, goOn := false, make(chan bool)
	r := newRig(t, func(w *ResponseWriter, _ *Request) {
		<-goOn
		if io.WriteString(w, "part"); begun {
			w.Flush()
		}
		panic("on purpose")
	})
	for _, begun = range []bool{false, true} {
		body, ok := r.submit()
		full, taken := r.submit()
		checktest.Truef(t, ok && !taken && unix.Close(full) == unix.EBADF, "the limit does not hold, or a body is left")
		goOn <- true
		last := r.take(1 << 20)
		checktest.Truef(t, (last.End == exchange.Incomplete) == begun &&
			(begun || last.Head.Status == 500 && last.Head.Then == exchange.Then(exchange.Refusal{})), "%+v", r.all)
		if !begun { // the lines of panics are limited
			line := <-r.log
			checktest.Truef(t, strings.HasPrefix(line, "bug: on purpose"), "%s", line)
		}
		checktest.Truef(t, unix.Close(body) == unix.EBADF, "the body is left")
		r.release()
	}
	checktest.Equalf(t, r.Active(), 0, "requests")
}

func TestSmallPartsDoNotAccumulateForASlowClient(t *testing.T) {
	var sent atomic.Int64
	r := newRig(t, func(w *ResponseWriter, _ *Request) {
		for err := error(nil); err == nil && sent.Load() < 5000; err = w.Flush() {
			io.WriteString(w, "x")
			sent.Add(1)
		}
	})
	r.parts = make(chan exchange.Part, 10_000)
	r.submit()
	for before := int64(-1); before != sent.Load(); time.Sleep(50 * time.Millisecond) {
		before = sent.Load()
	}
	n := sent.Load()
	checktest.Truef(t, n <= unackedMax/partCost+1, "%d pieces wait", n)
	r.Cancel(0, 0)
	r.take(1 << 20)
}

func TestHangingResponderLeavesRoomForOthers(t *testing.T) {
	r := newRig(t, nil)
	r.Pool = New(4, func(line string) { t.Error(line) })
	hang := make(chan bool)
	hangs, other := r.Pool.Handler(Func(func(*ResponseWriter, *Request) { <-hang })),
		r.Pool.Handler(Func(func(*ResponseWriter, *Request) { <-hang }))
	ticket := exchange.Ticket(0)
	takes := func(h *Handler, want bool) {
		t.Helper()
		r.Handler = h
		ticket++
		_, got := r.submitAs(ticket)
		checktest.Equalf(t, got, want, "request %d", ticket)
	}
	for _, want := range []bool{true, true, true, false} {
		takes(hangs, want)
	}
	takes(other, true)
	takes(other, false)
	close(hang)
	for r.Active() > 0 {
		r.take(1 << 20)
		r.release()
	}
	takes(hangs, true)
}

func TestUnreadCompleteResponseDoesNotCountTowardsTheLimit(t *testing.T) {
	r := newRig(t, func(w *ResponseWriter, _ *Request) { io.WriteString(w, "all") })
	for i := range 3 {
		_, ok := r.submit()
		checktest.Needf(t, ok, "request %d is refused", i)
		r.take(1 << 20)
	}
	r.release()
}

func TestResponderBlocksWhileItsResponseWaits(t *testing.T) {
	ended := make(chan error)
	r := newRig(t, func(w *ResponseWriter, q *Request) {
		var err error
		for err == nil {
			_, err = w.Write(make([]byte, chunkSize))
		}
		<-q.Context.Done()
		ended <- err
		w.Fail()
	})
	r.submit()
	for range 3 {
		r.take(unackedMax)
		time.Sleep(10 * time.Millisecond)
		r.take(0)
		checktest.Truef(t, len(r.all) <= unackedMax/chunkSize+1, "%d parts", len(r.all))
		r.release()
	}
	r.take(unackedMax)
	time.Sleep(10 * time.Millisecond)
	r.Cancel(0, 0)
	err := <-ended
	checktest.Truef(t, errors.Is(err, ErrGone), "%v", err)
	last := r.take(1 << 20)
	checktest.Equalf(t, last.End, exchange.Incomplete, "%+v", last)
}
