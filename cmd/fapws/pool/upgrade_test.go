package pool

import (
	"bytes"
	"encoding/json"
	"strings"
	"syscall"
	"testing"
	"time"

	"fapws/runtime/checktest"
)

func TestQuestionToAWorkerDelaysTheHandoverUntilItIsSent(t *testing.T) {
	w := &worker{idle: true}
	w.out.bytes.Store(1)
	p := &Pool{handing: true, workers: map[int]*worker{1: w}, events: make(chan func(), 1)}
	p.maybeHandOver()
	select {
	case <-p.events:
	case <-time.After(patience):
		t.Error("it does not go on when the question was sent")
	}
}

func TestReloadDuringTheHandoverIsLeftToTheNextProgram(t *testing.T) {
	p := New(idle())
	p.handing = true
	p.signal(syscall.SIGHUP)
	p.maybeBegin()
	checktest.Truef(t, p.next != nil && p.batch == nil, "%+v, %+v", p.next, p.batch)
}

func TestPartlyReceivedEventSurvivesTheHandover(t *testing.T) {
	ours, theirs := channels(t)
	w := &worker{pool: New(idle()), channel: ours}
	w.Pid, w.State, w.Joined = inState(t, "S", sleeping...).Process.Pid, Serving, true
	sent := []byte(strings.Repeat("long", maxDatagram))
	texts := checktest.Try((&Message{Kind: Publish, N: 1, Raw: sent, ID: 7}).encode()).Must(t)
	theirs.conn.Write(texts[0])
	ours.ReceiveWithin(10 * time.Millisecond)
	w.pool.relay.count(w, map[string]int64{"news": 2})

	fd, err := Duplicate(ours)
	checktest.Must(t, err)
	w.Parts = ours.parts
	text, err := json.Marshal(Handover{Workers: []workerState{w.workerState}, Files: []int{fd}})
	checktest.Must(t, err)
	var h Handover
	checktest.Must(t, json.Unmarshal(text, &h))
	next := New(idle())
	defer close(next.over)
	h.resume(next)
	go func() {
		for _, text := range texts[1:] {
			theirs.conn.Write(text)
		}
	}()
	(<-next.events)()
	for id := uint64(0); id != 7; {
		m, _, err := theirs.ReceiveWithin(patience)
		checktest.Must(t, err)
		id = m.ID
		checktest.Truef(t, id != 7 || bytes.Equal(m.Raw, sent), "the event has %d bytes", len(m.Raw))
	}
	checktest.Equalf(t, next.relay.subscribers("news"), 2, "subscribers")
}
