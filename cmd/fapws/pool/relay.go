package pool

import (
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/loglevel"
	"fapws/runtime/system"
)

// relay makes one server of many workers for those who listen to channels: events
// that one of them publishes get a number here and go to all, so all have the same
// order; and it adds up how many listen. It keeps no event.
type relay struct {
	epoch string // another one each time numbers begin anew
	seq   uint64 // the last number

	counts map[*worker]map[string]int64
	sums   map[string]int64
	news   map[string]struct{} // channels whose sum has changed since it was told
	due    *time.Timer         // to tell

	congested *atomic.Int32 // outboxes with too much in them
}

// countsEvery is how often workers hear of counts.
const countsEvery = 250 * time.Millisecond

// maxCounts is how many counts go into one message.
const maxCounts = 1000

func newRelay() relay {
	return relay{
		epoch:     strconv.FormatInt(time.Now().UnixMilli(), 36),
		counts:    make(map[*worker]map[string]int64),
		sums:      make(map[string]int64),
		news:      make(map[string]struct{}),
		congested: new(atomic.Int32),
	}
}

// publish numbers events of w and passes them on.
func (s *Pool) publish(w *worker, m *Message) {
	if m.N <= 0 || len(m.Raw) == 0 || !w.joined {
		return
	}
	if m.Seq != uint64(len(w.pieces)) {
		w.pieces = nil // the program before this one has got the beginning
		return
	}
	if w.pieces = append(w.pieces, m.Raw); m.More {
		return // they go on together
	}
	for i, raw := range w.pieces {
		out := Message{Kind: Events, Epoch: s.relay.epoch, Seq: s.relay.seq + 1, N: m.N, Raw: raw, More: i+1 < len(w.pieces)}
		text, _, err := out.encode(nil)
		if err != nil {
			s.o.Log(loglevel.Error, err.Error())
			break
		}
		for _, other := range s.workers {
			if other != w && other.joined {
				other.out.add(other, parcel{text: text})
			}
		}
		out.ID = m.ID
		w.post(&out)
	}
	s.relay.seq += uint64(m.N)
	w.pieces = nil
}

// ease holds up those who publish while others cannot keep up, for a moment: a
// worker that takes nothing at all is killed then. Any goroutine but Run's.
func (r *relay) ease() {
	for end := time.Now().Add(2 * stuckAfter); r.congested.Load() > 0 && time.Now().Before(end); {
		time.Sleep(2 * time.Millisecond)
	}
}

// join lets w have all events from now on, and the history from another worker
// that has had all before.
func (s *Pool) join(w *worker) {
	if w.joined || w.state == Dead {
		return
	}
	w.joined = true
	s.relay.tellAll(w)
	var giver *worker
	for _, other := range s.workers {
		if other != w && other.joined && other.state >= Ready && other.state < Ending && (giver == nil || other.state == Serving) {
			giver = other
		}
	}
	if giver == nil {
		w.send(&Message{Kind: Take, Text: History})
		return
	}
	give, take, err := between()
	if err != nil {
		s.o.Log(loglevel.Warning, fmt.Sprintf("worker %d gets no history of channels: %v", w.pid, err))
		w.send(&Message{Kind: Take, Text: History})
		return
	}
	w.send(&Message{Kind: Take, Text: History, Epoch: s.relay.epoch}, take)
	take.Close()
	giver.postWith(&Message{Kind: Give, Text: History}, give) // behind all events that w does not get
}

// between makes a channel for two workers.
func between() (one, other *os.File, err error) {
	fds, err := system.Socketpair(unix.SOCK_SEQPACKET)
	if err != nil {
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "channel of two workers"), os.NewFile(uintptr(fds[1]), "channel of two workers"), nil
}

// heir makes to take the subscribers of w, which gets the file for that. Nothing: they
// come back by themselves.
func (w *worker) heir(to *worker) []*os.File {
	if to == nil || !w.joined || !to.joined || w.state >= Ending || to.state >= Retiring {
		return nil
	}
	give, take, err := between()
	if err != nil {
		w.s.o.Log(loglevel.Warning, fmt.Sprintf("worker %d cannot hand its subscribers over: %v", w.pid, err))
		return nil
	}
	defer take.Close()
	to.send(&Message{Kind: Take, Text: Subscribers}, take)
	return []*os.File{give}
}

// anyServing returns a worker that serves, or nil.
func (s *Pool) anyServing() *worker {
	for _, p := range s.slots {
		if p.worker != nil && p.worker.state == Serving {
			return p.worker
		}
	}
	return nil
}

// --- how many listen ---------------------------------------------------------

// count takes what w says of its subscribers.
func (r *relay) count(s *Pool, w *worker, counts map[string]int64) {
	mine := r.counts[w]
	if w.state == Dead {
		return
	}
	if mine == nil {
		mine = make(map[string]int64)
		r.counts[w] = mine
	}
	for name, n := range counts {
		r.add(name, n-mine[name])
		if n == 0 {
			delete(mine, name)
		} else {
			mine[name] = n
		}
	}
	r.tellSoon(s)
}

// forget takes out what w, which has died, has said.
func (r *relay) forget(s *Pool, w *worker) {
	for name, n := range r.counts[w] {
		r.add(name, -n)
	}
	delete(r.counts, w)
	r.tellSoon(s)
}

func (r *relay) add(name string, n int64) {
	if n == 0 {
		return
	}
	r.news[name] = struct{}{}
	if r.sums[name] += n; r.sums[name] == 0 {
		delete(r.sums, name)
	}
}

func (r *relay) tellSoon(s *Pool) {
	if r.due == nil && len(r.news) > 0 {
		r.due = time.AfterFunc(countsEvery, func() { s.post(func() { r.tell(s) }) })
	}
}

// tell says to each what has changed elsewhere.
func (r *relay) tell(s *Pool) {
	r.due = nil
	for _, w := range s.workers {
		if !w.joined {
			continue
		}
		changed := make(map[string]int64, len(r.news))
		for name := range r.news {
			changed[name] = r.sums[name] - r.counts[w][name]
		}
		eachCounts(changed, w.post)
	}
	clear(r.news)
}

// tellAll says all that is known to w, which has no subscribers yet.
func (r *relay) tellAll(w *worker) { eachCounts(r.sums, w.post) }

func eachCounts(counts map[string]int64, tell func(*Message)) {
	some := make(map[string]int64)
	for name, n := range counts {
		if some[name] = n; len(some) == maxCounts {
			tell(&Message{Kind: Counts, Counts: some})
			some = make(map[string]int64)
		}
	}
	if len(some) > 0 {
		tell(&Message{Kind: Counts, Counts: some})
	}
}

// SendCounts tells the supervisor how many listen to channels in this worker.
func (c *Channel) SendCounts(counts map[string]int64) (err error) {
	eachCounts(counts, func(m *Message) {
		if err == nil {
			err = c.Send(m)
		}
	})
	return err
}
