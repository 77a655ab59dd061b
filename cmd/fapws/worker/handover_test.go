package worker

import (
	"testing"
	"time"

	"fapws/cmd/fapws/pool"
	"fapws/runtime"
	"fapws/runtime/live"
	"fapws/runtime/runtimetest"
)

// In this test, an attacker controls the worker that sends its past events to the new worker.
func TestForgedHistoryCannotForgeFutureEvents(t *testing.T) {
	to := newServer(t)
	ours, file, _ := pool.Pair()
	theirs, err := pool.ChannelOf(file)
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
	event := live.NewEvent(&live.Message{Name: "news", Data: "x"}, 1<<64-1, "e")
	go giveHistory(theirs, []*live.Event{event})
	if err := takeHistory(to, ours, 3, time.Minute); err != nil {
		t.Fatal(err)
	}
	if events := to.Subscribers().History(); len(events) > 0 {
		t.Errorf("it has %q", events[0].Text())
	}
	if err := takeHistory(to, ours, 3, 0); err == nil {
		t.Error("it has taken more")
	}
}

func newServer(t *testing.T) *runtime.Server {
	t.Helper()
	s, err := runtime.New(runtimetest.Config())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}
