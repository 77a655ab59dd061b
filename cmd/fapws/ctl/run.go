package ctl

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"syscall"
	"time"
)

// BenchResult is what a run has measured.
type BenchResult struct {
	counts
	options *BenchOptions
	elapsed time.Duration
	cpu     time.Duration // of this process, in the run
	stopped bool          // before its end
}

// RunBench sends the requests, until ctx ends at the latest. Its errors are lines for the user: then there is nothing to report.
func RunBench(ctx context.Context, o *BenchOptions) (*BenchResult, error) {
	t, err := newTarget(o)
	if err != nil {
		return nil, err
	}
	runtime.GOMAXPROCS(processors(o.Threads, t.tls != nil))
	turns := make(chan struct{}, o.Threads)
	told := make(chan news, 2*o.Threads)
	var generators []*generator
	for i := range o.Threads {
		g, err := newGenerator(t, o.share(i), part(o.Connections, o.Threads, i), turns, told)
		if err != nil {
			return nil, err
		}
		defer g.close()
		generators = append(generators, g)
	}
	ended := make(chan error, len(generators))
	for _, g := range generators {
		go func() { ended <- g.loop.Run() }()
		g.loop.Post(g.connect)
	}
	ticks := time.NewTicker(tick)
	stop := make(chan struct{})
	go func() {
		for {
			select {
			case <-ticks.C:
				for _, g := range generators {
					g.loop.Post(g.tick)
				}
			case <-stop:
				return
			}
		}
	}()
	r := &BenchResult{options: o, counts: newCounts()}
	err = r.phases(ctx, generators, told)
	ticks.Stop()
	close(stop)
	for _, g := range generators {
		g.loop.Stop()
	}
	for range generators {
		err = errors.Join(err, <-ended)
	}
	for _, g := range generators {
		r.add(&g.counts)
	}
	if err == nil && r.elapsed == 0 {
		err = r.unreachable()
	}
	return r, err
}

// processors returns how many goroutines Go may run at once. With as many as loops, a loop that waits does not have Go wake a
// thread that finds nothing to do: with one connection a request costs a fifth less. Handshakes of TLS need others beside the loops.
func processors(loops int, handshakes bool) int {
	if handshakes {
		return max(runtime.GOMAXPROCS(0), loops+2)
	}
	return loops
}

// part returns the i-th of n parts of a whole that is divided as evenly as possible.
func part[T int | int64](whole T, n, i int) T {
	p := whole / T(n)
	if T(i) < whole%T(n) {
		p++
	}
	return p
}

// share returns the requests of the i-th generator. Those of all together are due at even distances.
func (o *BenchOptions) share(i int) schedule {
	s := schedule{left: -1, until: o.Duration}
	if o.Requests > 0 {
		s.left = part(o.Requests, o.Threads, i)
	}
	if o.Rate > 0 {
		between := float64(time.Second) / o.Rate
		s.interval, s.first = between*float64(o.Threads), between*float64(i)
	}
	return s
}

// phases lets the generators connect, then send, and waits for them.
func (r *BenchResult) phases(ctx context.Context, generators []*generator, told <-chan news) error {
	open := 0
	for range generators {
		select {
		case n := <-told:
			open += n.open
		case <-ctx.Done():
			return errors.New("stopped while connecting")
		}
	}
	if open == 0 {
		return nil
	}
	before, start := cpuTime(), time.Now()
	for _, g := range generators {
		g.loop.Post(func() { g.send(start) })
	}
	done := ctx.Done()
	for left := len(generators); left > 0; {
		select {
		case <-told:
			left--
		case <-done:
			done = nil
			r.stopped = true
			for _, g := range generators {
				g.loop.Post(g.interrupt)
			}
		}
	}
	r.elapsed = time.Since(start)
	r.cpu = cpuTime() - before
	return nil
}

// cpuTime returns the CPU time of this process.
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // which takes any process
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// unreachable returns why there is nothing to report.
func (r *BenchResult) unreachable() error {
	for why := range r.refused {
		return fmt.Errorf("%s: %s", r.options.URL, why)
	}
	return nil
}

// Failed reports whether a request got no response, or one that says that it was in vain (RFC 9110 §15.5, §15.6).
func (r *BenchResult) Failed() bool {
	for _, n := range r.statuses[400:] {
		if n > 0 {
			return true
		}
	}
	return len(r.failures) > 0 || len(r.refused) > 0
}

// schedule says when requests are due, as times since the start.
type schedule struct {
	left     int64         // requests that may still be started; -1: any number
	until    time.Duration // when the last one may be due; 0: any time
	interval float64       // nanoseconds between two; 0: whenever there is room
	first    float64       // when the first one is due, in nanoseconds
	started  int64
}

// never is a time that does not come.
const never = time.Duration(1<<63 - 1)

// due returns when the next request is due. With no interval that is now.
func (s *schedule) due(now time.Duration) time.Duration {
	if s.interval == 0 {
		return now
	}
	return time.Duration(s.first + float64(s.started)*s.interval)
}

// next returns when the next request is due, never if none may be started any more.
func (s *schedule) next(now time.Duration) time.Duration {
	due := s.due(now)
	if s.left == 0 || s.until > 0 && max(due, now) >= s.until {
		return never
	}
	return due
}

// start counts a request that has been started.
func (s *schedule) start() {
	s.started++
	if s.left > 0 {
		s.left--
	}
}

// over reports whether no request may be started any more.
func (s *schedule) over(now time.Duration) bool { return s.next(now) == never }

// missed calls f with the time of each request that was due before end and was not started.
func (s *schedule) missed(end time.Duration, f func(due time.Duration)) {
	for s.left != 0 && s.due(end) < end {
		f(s.due(end))
		s.start()
	}
}

// ring is a queue of connections, each of them in it once. They take turns.
type ring struct {
	conns       []*connection // of a fixed length
	first, used int
}

func newRing(size int) ring { return ring{conns: make([]*connection, size)} }

func (r *ring) put(c *connection) {
	if !c.idle {
		c.idle = true
		r.conns[(r.first+r.used)%len(r.conns)] = c
		r.used++
	}
}

// take returns the connection that has waited longest, nil if there is none.
func (r *ring) take() *connection {
	if r.used == 0 {
		return nil
	}
	c := r.conns[r.first]
	r.first = (r.first + 1) % len(r.conns)
	r.used--
	c.idle = false
	return c
}
