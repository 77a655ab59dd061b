package supervisor

import (
	"cmp"
	"context"
	"encoding/json"
	"os"
	"slices"
	"sync"

	"fapws/cmd/fapws/ctl"
	"fapws/cmd/fapws/pool"
	"fapws/cmd/fapws/worker"
	"fapws/runtime/metrics"
)

// ledger adds up what workers have counted, so that a counter does not fall when a worker ends. The zero value is empty. It is
// safe for concurrent use.
type ledger struct {
	mu    sync.Mutex
	known map[int][]metrics.Family // what each worker has said last
	ended []metrics.Family         // of those that have ended
}

// said notes what worker pid has counted, and returns the number of workers of which it knows that.
func (l *ledger) said(pid int, text string) int {
	var families []metrics.Family
	wrong := json.Unmarshal([]byte(text), &families) != nil
	families = metrics.Sound(families)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known == nil {
		l.known = map[int][]metrics.Family{}
	}
	if !wrong {
		l.known[pid] = families
	}
	return len(l.known)
}

// sum adds up all workers, of which those in live have not ended.
func (l *ledger) sum(live []int) []metrics.Family {
	l.mu.Lock()
	defer l.mu.Unlock()
	var present [][]metrics.Family
	for pid, families := range l.known {
		if slices.Contains(live, pid) {
			present = append(present, families)
			continue
		}
		l.ended = metrics.Sound(metrics.Merge(l.ended, metrics.Lasting(families)))
		delete(l.known, pid)
	}
	return metrics.Merge(append(present, l.ended)...)
}

// mostKnown is the number of workers after which those that have ended are added up, also if no one asks for metrics.
const mostKnown = 50

// farewell is pool.Options.Farewell.
func (p *supervisor) farewell(pid int, text string) {
	if p.counted.said(pid, text) > mostKnown {
		go func() { p.counted.sum(pids(p.pool.Status())) }()
	}
}

// pids returns the numbers of the processes of all workers.
func pids(st pool.Status) []int {
	all := make([]int, len(st.Workers))
	for i, w := range st.Workers {
		all[i] = w.Pid
	}
	return all
}

// Metrics implements ctl.Server. A worker that does not answer in time counts with what it has said before.
func (c control) Metrics() []metrics.Family {
	os.Setenv(pool.CountVariable, "1") // the next workers need not be asked
	ctx, cancel := context.WithTimeout(context.Background(), worker.AnswerWithin)
	defer cancel()
	for _, reply := range c.p.pool.Ask(ctx, worker.AskMetrics) {
		c.p.counted.said(reply.Pid, reply.Text)
	}
	st := c.p.pool.Status()
	all := c.p.counted.sum(pids(st))
	slices.SortFunc(all, func(x, y metrics.Family) int { return cmp.Compare(x.Name, y.Name) })
	own := []metrics.Family{
		worker.Memory("supervisor"),
		worker.LostLines(c.p.log.Lost()),
		worker.Started(st.Since),
		metrics.One("fapws_workers", metrics.Gauge, "", "Processes that serve, or are about to begin or to end.", float64(len(st.Workers))),
		metrics.One("fapws_reloads", metrics.Counter, "", "Reloads that have succeeded.", float64(st.Reloads)),
		{Name: "fapws_worker_restarts", Kind: metrics.Counter, Help: "Workers that were replaced other than by a reload: died, or recycled because of max-requests, max-rss or a stuck handler.",
			Series: []metrics.Series{
				{Labels: metrics.Labels("reason", "died"), Value: float64(st.Lost)},
				{Labels: metrics.Labels("reason", "recycled"), Value: float64(st.Recycled)},
			}},
	}
	return metrics.Merge(all, own, c.p.brokerMetrics())
}

// Active implements ctl.Server.
func (c control) Active() (all []ctl.Active) {
	ctx, cancel := context.WithTimeout(context.Background(), worker.AnswerWithin)
	defer cancel()
	for _, reply := range c.p.pool.Ask(ctx, worker.AskActive) {
		var some []ctl.Active
		if json.Unmarshal([]byte(reply.Text), &some) == nil {
			all = append(all, some...)
		}
	}
	slices.SortFunc(all, func(x, y ctl.Active) int { return cmp.Compare(y.Age, x.Age) })
	return all
}
