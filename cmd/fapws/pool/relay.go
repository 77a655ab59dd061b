package pool

import (
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/logfile"
)

// relay numbers the events that workers publish and sends them to all workers, so that all have the same order.
type relay struct {
	epoch string // changes whenever the numbers restart at 1
	seq   uint64

	// channels with changed numbers of subscribers since the last tell
	news map[string]struct{}
	due  *time.Timer

	congested *atomic.Int32 // number of outboxes above muchWaiting
}

// countsEvery is the interval between messages about changed counts.
const countsEvery = 250 * time.Millisecond

const maxCounts = 1000

func newRelay() relay {
	return relay{
		epoch:     strconv.FormatInt(time.Now().UnixMilli(), 36),
		news:      make(map[string]struct{}),
		congested: new(atomic.Int32),
	}
}

func (p *Pool) publish(w *worker, m *Message) {
	if m.N <= 0 || len(m.Raw) == 0 || !w.joined {
		return
	}
	if !w.believes("events", m, maxEvents) {
		return
	}
	if m.N > len(m.Raw)/minEvent { // otherwise the numbers could run out
		w.distrust(fmt.Sprintf("published %d events in %d bytes", m.N, len(m.Raw)))
		return
	}
	if p.o.Broker == nil {
		p.deal(w, m.ID, p.relay.seq+1, m.N, m.Raw)
	} else if !p.o.Broker.Publish(Batch{N: m.N, Raw: m.Raw, ID: m.ID, Publisher: w.pid}) {
		w.send(&Message{Kind: Events, ID: m.ID, Text: Dropped})
	}
}

// deal sends numbered events to all workers. The publisher, which may be nil, also receives the ID of its message.
func (p *Pool) deal(publisher *worker, id, seq uint64, n int, raw []byte) {
	out := Message{Kind: Events, Epoch: p.relay.epoch, Seq: seq, N: n, Raw: raw}
	texts, err := out.encode()
	if err != nil {
		p.o.Log(logfile.Error, err.Error())
		return
	}
	for _, other := range p.workers {
		if other != publisher && other.joined {
			other.queue(texts)
		}
	}
	if publisher != nil {
		out.ID = id
		publisher.send(&out)
	}
	p.relay.seq = seq + uint64(n) - 1
}

// PublishOwn publishes an event of the supervisor if the channel has subscribers on this server. With a broker, it does
// nothing, because the event concerns only this server. It is safe for concurrent use.
func (p *Pool) PublishOwn(channel string, raw []byte) {
	p.post(func() {
		if p.subscribers(channel) > 0 && p.o.Broker == nil {
			p.deal(nil, 0, p.relay.seq+1, 1, raw)
		}
	})
}

// throttle delays a publisher while workers cannot keep up or more returns true. It returns after a limit, because a
// worker that does not read has been killed by then. It must not be called on the goroutine of Run.
func (p *Pool) throttle(more func() bool) {
	for end := time.Now().Add((silentChecks + 1) * checkEvery); (p.relay.congested.Load() > 0 || more()) && time.Now().Before(end); {
		time.Sleep(2 * time.Millisecond)
	}
}

func (p *Pool) brokerCongested() bool { return p.o.Broker != nil && p.o.Broker.Congested() }

// join sends w all events from now on.
func (p *Pool) join(w *worker) {
	if w.joined || w.state == Dead {
		return
	}
	w.joined = true
	sums := map[string]int64{}
	for _, other := range p.workers {
		for name, n := range other.counts {
			sums[name] += n
		}
	}
	EachCounts(sums, func(m *Message) { w.send(m) }) // w has no subscribers yet
	var giver, stopped *worker
	for _, other := range p.workers {
		switch {
		case other == w || !other.joined || other.hung || other.state < Ready || other.state >= Ending:
		case inStates(other.pid, "Tt"): // w would wait for a stopped worker in vain
			stopped = other
		case giver == nil || other.state == Serving:
			giver = other
		}
	}
	if giver == nil {
		if stopped != nil && p.o.Broker == nil {
			p.o.Log(logfile.Warning, fmt.Sprintf("worker %d starts without past events: worker %d is stopped", w.pid, stopped.pid))
		}
		p.sendKept(w)
		w.send(&Message{Kind: Take, Text: History})
		return
	}
	give, take, err := workerPair()
	if err != nil {
		p.o.Log(logfile.Warning, fmt.Sprintf("cannot send the channel history to worker %d: %v", w.pid, err))
		w.send(&Message{Kind: Take, Text: History})
		return
	}
	defer CloseFiles([]*os.File{give, take})
	w.send(&Message{Kind: Take, Text: History, Epoch: p.relay.epoch, Seq: p.relay.seq}, take)
	giver.send(&Message{Kind: Give, Text: History}, give) // queued after all events that w does not receive
}

func workerPair() (one, other *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "channel of two workers"), os.NewFile(uintptr(fds[1]), "channel of two workers"), nil
}

// passSubscribers prepares worker to for the subscribers of w. It returns the file through which w sends them, or nil
// if that is impossible. Then the clients reconnect.
func (w *worker) passSubscribers(to *worker) []*os.File {
	if to == nil || !w.joined || w.hung || !to.joined || w.state >= Ending || to.state >= Retiring {
		return nil
	}
	give, take, err := workerPair()
	if err != nil {
		w.pool.o.Log(logfile.Warning, fmt.Sprintf("worker %d cannot hand its subscribers over: %v", w.pid, err))
		return nil
	}
	defer take.Close()
	to.send(&Message{Kind: Take, Text: Subscribers}, take)
	return []*os.File{give}
}

func (p *Pool) anyStaying() *worker {
	for _, w := range p.workers {
		if w.state == Serving && !w.replaced {
			return w
		}
	}
	return nil
}

func (p *Pool) subscribers(name string) (n int64) {
	for _, w := range p.workers {
		n += w.counts[name]
	}
	return n
}

func (p *Pool) count(w *worker, counts map[string]int64) {
	if w.counts == nil {
		w.counts = make(map[string]int64)
	}
	for name, n := range counts {
		if n < 0 || n > maxCount || len(name) > maxName {
			w.distrust(fmt.Sprintf("counted %d subscribers of %.40q", n, name))
			break
		}
		had := w.counts[name]
		switch {
		case n == had:
			continue
		case n == 0:
			delete(w.counts, name)
			w.counted -= countCost(name)
		case had == 0 && w.counted+countCost(name) > maxCounted: // clients may have chosen the names
			if !w.uncounted {
				w.uncounted = true
				w.pool.o.Log(logfile.Warning, fmt.Sprintf("worker %d: too many channels and groups; not counting the subscribers of further ones in other workers", w.pid))
			}
			continue
		case had == 0:
			w.counted += countCost(name)
			fallthrough
		default:
			w.counts[name] = n
		}
		p.tellSoon(name)
	}
}

func (p *Pool) tellSoon(name string) {
	r := &p.relay
	r.news[name] = struct{}{}
	if r.due == nil {
		r.due = time.AfterFunc(countsEvery, func() { p.post(p.tell) })
	}
}

func (p *Pool) tell() {
	r := &p.relay
	r.due = nil
	for _, w := range p.workers {
		if !w.joined {
			continue
		}
		changed := make(map[string]int64, len(r.news))
		for name := range r.news {
			changed[name] = p.subscribers(name) - w.counts[name]
		}
		EachCounts(changed, func(m *Message) { w.send(m) })
	}
	clear(r.news)
}

func EachCounts(counts map[string]int64, tell func(*Message)) {
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

const closingBroker = 5 * time.Second

func (p *Pool) startBroker() {
	if p.o.Broker == nil {
		return
	}
	p.relay.epoch = p.o.Broker.Epoch()
	p.relay.seq = p.o.Broker.Start(func(b Batch) {
		p.throttle(func() bool { return false }) // the workers of this server may be slower than others
		p.post(func() { p.delivered(b) })
	})
}

func (p *Pool) delivered(b Batch) {
	publisher := p.workers[b.Publisher]
	if publisher != nil && !publisher.joined {
		publisher = nil
	}
	if b.Purge {
		p.relay.seq = b.Seq
		p.purge(nil, string(b.Raw))
		return
	}
	p.deal(publisher, b.ID, b.Seq, b.N, b.Raw)
}

// sendKept sends the past events of the broker to w, the only worker. w ignores events that it receives twice, by their
// numbers.
func (p *Pool) sendKept(w *worker) {
	if p.o.Broker == nil {
		return
	}
	kept, err := p.o.Broker.History()
	if err != nil {
		p.o.Log(logfile.Warning, fmt.Sprintf("worker %d starts without past events: %v", w.pid, err))
	}
	for _, b := range kept {
		w.send(&Message{Kind: Events, Epoch: p.relay.epoch, Seq: b.Seq, N: b.N, Raw: b.Raw})
	}
}

func (p *Pool) purge(but *worker, pattern string) {
	for _, w := range p.workers {
		if w != but && w.state >= Ready && w.state < Dead {
			w.send(&Message{Kind: Purge, Text: pattern})
		}
	}
}
