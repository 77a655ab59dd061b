package supervisor

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"fapws/cmd/fapws/ctl"
	"fapws/cmd/fapws/pool"
	"fapws/cmd/fapws/worker"
	"fapws/runtime/source/cache"
)

type control struct{ p *supervisor }

func (c control) Report() ctl.Report {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	st := c.p.pool.Status()
	counted := map[int]ctl.Counters{}
	for _, reply := range c.p.pool.Ask(ctx, worker.AskCounters) {
		var counters ctl.Counters
		if json.Unmarshal([]byte(reply.Text), &counters) == nil {
			counted[reply.Pid] = counters
		}
	}
	conf, addrs := c.p.seen()
	r := worker.ReportPresence(c.p.plan, &conf, addrs, st.Since)
	r.Failure = st.Failure
	r.Cache = c.caches(ctx)
	for _, w := range st.Workers {
		counters, ok := counted[w.Pid]
		if !ok {
			counters = ctl.NotCounted
		}
		state := w.State.String()
		if counters.Asleep {
			state = ctl.Asleep
		}
		r.Workers = append(r.Workers, ctl.Worker{PID: w.Pid, State: state, Age: time.Since(w.Since).Seconds(), RSS: w.RSS, Counters: counters})
	}
	return r
}

func (c control) Stack() string {
	ctx, cancel := context.WithTimeout(context.Background(), worker.AnswerWithin)
	defer cancel()
	replies := c.p.pool.Ask(ctx, worker.AskStack)
	var b strings.Builder
	for _, reply := range replies {
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "worker %d\n%s", reply.Pid, reply.Text)
	}
	for _, w := range c.p.pool.Status().Workers {
		if w.State >= pool.Ready && !slices.ContainsFunc(replies, func(r pool.Reply) bool { return r.Pid == w.Pid }) {
			fmt.Fprintf(&b, "\nworker %d (%s) does not answer\n", w.Pid, w.State)
		}
	}
	return b.String()
}

func (c control) Reload() error { return c.reload("fapws ctl") }

// reload reloads because of why.
func (c control) reload(why string) error {
	if err := c.p.pool.ReloadAndWait(why); err != nil {
		return fmt.Errorf("reload failed: %w; the old workers keep serving", err)
	}
	return nil
}

func (c control) Rotate() error {
	conf, _ := c.p.seen()
	err := c.p.errors.RotateAll(&conf, c.p.plan.Site.LogFiles(), c.p.log)
	c.p.pool.Reopen()
	return err
}

func (c control) Stop() { c.p.pool.Stop() }

// Purge implements ctl.Server: in all workers.
func (c control) Purge(p ctl.Pattern) (n int, err error) {
	pattern := cache.Pattern{Host: p.Host, Path: p.Path, Tag: p.Tag}
	if err := pattern.Check(); err != nil {
		return 0, err
	}
	text, err := json.Marshal(pattern)
	if err != nil {
		return 0, err
	}
	if c.p.broker != nil {
		c.p.broker.Publish(pool.Batch{Raw: text, Purge: true})
	}
	ctx, cancel := context.WithTimeout(context.Background(), worker.AnswerWithin)
	defer cancel()
	asked := c.p.pool.Status().Workers
	replies := c.p.pool.Ask(ctx, worker.AskPurge+" "+string(text))
	removed := map[int]int{} // by process; below 0: not yet
	for _, reply := range replies {
		one := -1
		if json.Unmarshal([]byte(reply.Text), &one) != nil || one < 0 {
			one = -1
		}
		removed[reply.Pid] = one
		n += max(one, 0)
	}
	for _, w := range c.p.pool.Status().Workers { // one that is being replaced may end before it has answered
		if !serves(w) || !slices.ContainsFunc(asked, func(a pool.WorkerStatus) bool { return a.Pid == w.Pid && serves(a) }) {
			continue
		}
		if one, answered := removed[w.Pid]; !answered {
			return 0, fmt.Errorf("worker %d does not answer", w.Pid)
		} else if one < 0 {
			return 0, fmt.Errorf("a handler blocks worker %d; its pages are purged when the handler returns", w.Pid)
		}
	}
	return n, nil
}

// serves reports whether new clients may get to a worker.
func serves(w pool.WorkerStatus) bool { return w.State == pool.Ready || w.State == pool.Serving }

// caches adds up the figures of the caches of all workers; nil without a cache.
func (c control) caches(ctx context.Context) (sum *ctl.Cache) {
	for _, reply := range c.p.pool.Ask(ctx, worker.AskCache) {
		var one *ctl.Cache
		if json.Unmarshal([]byte(reply.Text), &one) != nil || one == nil {
			continue
		}
		if sum == nil {
			sum = &ctl.Cache{}
		}
		sum.Add(one)
	}
	return sum
}
