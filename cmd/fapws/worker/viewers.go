package worker

import (
	"sync/atomic"
	"time"

	"fapws/cmd/fapws/statuspage"
	"fapws/pybridge"
)

// viewEvent is the event of statuspage.Channel.
var viewEvent = pybridge.Event{Name: statuspage.Channel, Data: "look"}

// ViewEvent returns that event as the supervisor sends it to its workers.
func ViewEvent() []byte { return appendEvent(nil, &viewEvent) }

// viewers tells the viewers of the status page of a process that is alone to look again, as long as there are any. Of several
// workers the supervisor does that, which numbers the events.
type viewers struct {
	s     *service
	n     atomic.Int64
	tells atomic.Bool // tell runs
}

// counted notes how many viewers there are. It must be called on the loop.
func (v *viewers) counted(n int) {
	v.n.Store(int64(n))
	v.begin()
}

func (v *viewers) begin() {
	if v.n.Load() > 0 && !v.s.over.Load() && v.tells.CompareAndSwap(false, true) {
		go v.tell()
	}
}

func (v *viewers) tell() {
	for v.n.Load() > 0 && !v.s.over.Load() {
		v.s.complain(v.s.tryPublish(0, &viewEvent))
		time.Sleep(statuspage.ViewEvery)
	}
	v.tells.Store(false)
	v.begin() // one may have come meanwhile
}
