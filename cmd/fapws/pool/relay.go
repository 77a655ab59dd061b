package pool

import (
	"fmt"
	"maps"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/logfile"
)

// A relay numbers the events that workers publish and sends them to all workers, so that all workers have the same
// events in the same order.
type relay struct {
	p     *Pool
	epoch string // a new value is chosen whenever event numbers restart at 1
	seq   uint64

	// channels whose number of subscribers has changed since the last call of tell
	news map[string]struct{}
	due  *time.Timer

	elsewhere map[string]int64 // for each channel, the number of subscribers of other servers; nil if there are none
	unshared  bool             // the numbers of this server have changed since the last call of share

	congested *atomic.Int32
}

// countsEvery is the minimum interval between two Counts messages to a worker.
const countsEvery = 250 * time.Millisecond

const maxCounts = 1000

func newRelay(p *Pool) relay {
	return relay{
		p:         p,
		epoch:     strconv.FormatInt(time.Now().UnixMilli(), 36),
		news:      make(map[string]struct{}),
		congested: new(atomic.Int32),
	}
}

func (r *relay) publish(w *worker, m *Message) {
	if m.N <= 0 || len(m.Raw) == 0 || !w.Joined {
		return
	}
	if m.N > len(m.Raw)/minEvent { // a forged N could exhaust the event numbers
		w.distrust(fmt.Sprintf("published %d events in %d bytes", m.N, len(m.Raw)))
		return
	}
	if r.p.o.Broker == nil {
		r.deal(w, m.ID, r.seq+1, m.N, m.Raw)
	} else if !r.p.o.Broker.Publish(Batch{N: m.N, Raw: m.Raw, ID: m.ID, Publisher: w.Pid}) {
		w.send(&Message{Kind: Events, ID: m.ID, Text: Dropped})
	}
}

// deal sends numbered events to all workers. publisher is nil if no worker of this server published the events.
func (r *relay) deal(publisher *worker, id, seq uint64, n int, raw []byte) {
	out := Message{Kind: Events, Epoch: r.epoch, Seq: seq, N: n, Raw: raw}
	texts, err := out.encode()
	if err != nil {
		r.p.o.Log(logfile.Error, err.Error())
		return
	}
	for _, other := range r.p.workers {
		if other != publisher && other.Joined {
			other.queue(texts)
		}
	}
	if publisher != nil {
		out.ID = id
		publisher.send(&out)
	}
	r.seq = seq + uint64(n) - 1
}

// throttle delays a publisher while any worker or the broker cannot keep up. broker may be nil. throttle waits for a
// few seconds at most, because a worker that does not read is killed in this time. It must not be called on the
// goroutine of Run.
func (r *relay) throttle(broker *Broker) {
	for end := time.Now().Add((silentChecks + 1) * checkEvery); (r.congested.Load() > 0 ||
		broker != nil && broker.Congested()) && time.Now().Before(end); {
		time.Sleep(2 * time.Millisecond)
	}
}

// join makes w receive all events from now on, and asks another worker to send its history to w.
func (r *relay) join(w *worker) {
	if w.Joined || w.State == Dead {
		return
	}
	w.Joined = true
	sums := r.sums(maps.Clone(r.elsewhere))
	// w has no subscribers yet, so the sums over all workers equal the sums over all other workers.
	EachCounts(sums, func(m *Message) { w.send(m) })
	var giver, stopped *worker
	for _, other := range r.p.workers {
		switch {
		case other == w || !other.Joined || other.hung || other.State < Ready || other.State >= Ending:
		case inStates(other.Pid, "Tt"): // a worker that a signal has stopped would never reply to w
			stopped = other
		case giver == nil || other.serves():
			giver = other
		}
	}
	if giver == nil {
		if stopped != nil && r.p.o.Broker == nil {
			r.p.o.Log(logfile.Warning, fmt.Sprintf("worker %d starts without past events: worker %d is stopped", w.Pid,
				stopped.Pid))
		}
		r.sendKept(w)
		w.send(&Message{Kind: Take, Text: History})
		return
	}
	give, take, err := workerPair()
	if err != nil {
		r.p.o.Log(logfile.Warning, fmt.Sprintf("cannot send the channel history to worker %d: %v", w.Pid, err))
		w.send(&Message{Kind: Take, Text: History})
		return
	}
	defer CloseFiles([]*os.File{give, take})
	w.send(&Message{Kind: Take, Text: History, Epoch: r.epoch, Seq: r.seq}, take)
	// The queue of giver already contains all events that were published before w joined.
	giver.send(&Message{Kind: Give, Text: History}, give)
}

func workerPair() (one, other *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "channel of two workers"), os.NewFile(uintptr(fds[1]), "channel of two workers"),
		nil
}

// sums adds the numbers of subscribers of this server to those in sums, which may be nil.
func (r *relay) sums(sums map[string]int64) map[string]int64 {
	if sums == nil {
		sums = make(map[string]int64)
	}
	for _, w := range r.p.workers {
		for name, n := range w.Counts {
			sums[name] += n
		}
	}
	return sums
}

// share exchanges the numbers of subscribers with the other servers, again and again.
func (r *relay) share() {
	var own map[string]int64
	if r.unshared {
		r.unshared, own = false, r.sums(nil)
	}
	go func() {
		others := r.p.o.Broker.shareCounts(own)
		r.p.post(func() { r.countElsewhere(others) })
		r.p.o.Broker.awaitCounts()
		r.p.post(r.share)
	}()
}

// countsChanged makes share send the numbers of this server again.
func (r *relay) countsChanged() {
	if r.unshared = true; r.p.o.Broker != nil {
		r.p.o.Broker.countsChanged()
	}
}

// countElsewhere stores the numbers of subscribers of other servers, unless they are nil because they are the same.
func (r *relay) countElsewhere(counts map[string]int64) {
	if counts == nil {
		return
	}
	before := r.elsewhere
	r.elsewhere = counts
	for name, n := range counts {
		if before[name] != n {
			r.tellSoon(name)
		}
	}
	for name := range before {
		if counts[name] == 0 {
			r.tellSoon(name)
		}
	}
}

// subscribers returns the number of subscribers of a channel on all servers.
func (r *relay) subscribers(name string) (n int64) {
	n = r.elsewhere[name]
	for _, w := range r.p.workers {
		n += w.Counts[name]
	}
	return n
}

func (r *relay) count(w *worker, counts map[string]int64) {
	if w.Counts == nil {
		w.Counts = make(map[string]int64)
	}
	for name, n := range counts {
		if n < 0 || n > maxCount || len(name) > maxName {
			w.distrust(fmt.Sprintf("counted %d subscribers of %.40q", n, name))
			break
		}
		had := w.Counts[name]
		switch {
		case n == had:
			continue
		case n == 0:
			delete(w.Counts, name)
			w.counted -= countCost(name)
		// Clients can choose channel names, so their number must be limited.
		case had == 0 && w.counted+countCost(name) > maxCounted:
			w.full.Do(func() {
				w.pool.o.Log(logfile.Warning,
					fmt.Sprintf("worker %d: too many channels and groups; not counting the subscribers of further "+
						"ones in other workers", w.Pid))
			})
			continue
		case had == 0:
			w.counted += countCost(name)
			fallthrough
		default:
			w.Counts[name] = n
		}
		r.countsChanged()
		r.tellSoon(name)
	}
}

func (r *relay) tellSoon(name string) {
	r.news[name] = struct{}{}
	if r.due == nil {
		r.due = r.p.after(countsEvery, r.tell)
	}
}

func (r *relay) tell() {
	r.due = nil
	for _, w := range r.p.workers {
		if !w.Joined {
			continue
		}
		changed := make(map[string]int64, len(r.news))
		for name := range r.news {
			changed[name] = r.subscribers(name) - w.Counts[name]
		}
		EachCounts(changed, func(m *Message) { w.send(m) })
	}
	clear(r.news)
}

// EachCounts splits numbers of subscribers into messages of limited size and passes each message to the function tell.
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

func (r *relay) startBroker() {
	if r.p.o.Broker == nil {
		return
	}
	r.epoch = r.p.o.Broker.Epoch()
	r.seq = r.p.o.Broker.Start(func(batches []Batch) {
		r.throttle(nil) // also wait until the workers of this server keep up
		r.p.post(func() {
			for len(batches) > 0 {
				batches = r.delivered(batches)
			}
		})
	})
}

// delivered passes the first of the batches to the workers, together with the batches of other servers that follow it
// immediately, and returns the rest.
func (r *relay) delivered(batches []Batch) (rest []Batch) {
	b, rest := batches[0], batches[1:]
	publisher := r.p.workers[b.Publisher]
	if publisher != nil && !publisher.Joined {
		publisher = nil
	}
	if b.Purge {
		r.seq = b.Seq
		r.purge(nil, string(b.Raw))
		return rest
	}
	for publisher == nil && len(rest) > 0 && rest[0].Publisher == 0 && !rest[0].Purge &&
		rest[0].Seq == b.Seq+uint64(b.N) && len(b.Raw)+len(rest[0].Raw) <= togetherBytes {
		b.Raw, b.N, rest = append(b.Raw, rest[0].Raw...), b.N+rest[0].N, rest[1:]
	}
	r.deal(publisher, b.ID, b.Seq, b.N, b.Raw)
	return rest
}

// sendKept sends the broker's past events to w, which is the only worker. w recognizes events that it receives twice by
// their numbers, and ignores them.
func (r *relay) sendKept(w *worker) {
	if r.p.o.Broker == nil {
		return
	}
	kept, err := r.p.o.Broker.History()
	if err != nil {
		r.p.o.Log(logfile.Warning, fmt.Sprintf("worker %d starts without past events: %v", w.Pid, err))
	}
	for _, b := range kept {
		w.send(&Message{Kind: Events, Epoch: r.epoch, Seq: b.Seq, N: b.N, Raw: b.Raw})
	}
}

// purge sends a pattern to all workers except its sender, which is nil if it is not a worker.
func (r *relay) purge(sender *worker, pattern string) {
	for _, w := range r.p.workers {
		if w != sender && w.State >= Ready && w.State < Dead {
			w.send(&Message{Kind: Purge, Text: pattern})
		}
	}
}
