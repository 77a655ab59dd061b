package worker

import (
	"testing"
	"time"

	"fapws/cmd/fapws/pool"
	"fapws/runtime"
	"fapws/runtime/checktest"
	"fapws/runtime/live"
	"fapws/runtime/runtimetest"
)

// In this test, an attacker controls the worker that sends its past events to the new worker.
func TestForgedHistoryCannotForgeFutureEvents(t *testing.T) {
	to := newServer(t)
	ours, file, _ := pool.Pair()
	theirs := checktest.Try(pool.ChannelOf(file)).Must(t)
	file.Close()
	event := live.NewEvent(&live.Message{Name: "news", Data: "x"}, 1<<64-1, "e")
	go giveHistory(theirs, []*live.Event{event})
	checktest.Must(t, takeHistory(to, ours, 3, time.Minute))
	events := to.Subscribers().History()
	checktest.Equalf(t, len(events), 0, "events")
	err := takeHistory(to, ours, 3, 0)
	checktest.Truef(t, err != nil, "it has taken more")
}

func newServer(t *testing.T) *runtime.Server {
	t.Helper()
	s := checktest.Try(runtime.New(runtimetest.Config())).Must(t)
	t.Cleanup(func() { s.Close() })
	return s
}
