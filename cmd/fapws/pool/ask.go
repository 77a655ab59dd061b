package pool

import (
	"context"
	"os"
	"slices"
	"strings"
	"time"

	"fapws/cmd/fapws/confine"
)

// Reply is a worker's answer to Ask.
type Reply struct {
	Pid  int
	Text string
}

// pendingQuery is an Ask that waits for replies.
type pendingQuery struct {
	open    map[*worker]*strings.Builder
	replies []Reply
	done    chan []Reply
}

// Ask sends a question to every loaded worker and returns the answers, sorted by process number. When ctx ends, it
// returns the answers so far. It is safe for concurrent use.
func (p *Pool) Ask(ctx context.Context, what string) []Reply {
	q := &pendingQuery{open: make(map[*worker]*strings.Builder), done: make(chan []Reply, 1)}
	var id uint64
	asked := p.post(func() {
		p.lastID++
		id = p.lastID
		p.queries[id] = q
		for _, w := range p.workers {
			if w.state >= Ready && w.state < Dead {
				q.open[w] = new(strings.Builder)
				w.send(&Message{Kind: Ask, ID: id, Text: what})
			}
		}
		p.close(id, q)
	})
	if !asked {
		return nil
	}
	select {
	case <-ctx.Done():
		p.post(func() {
			clear(q.open)
			p.close(id, q)
		})
	case replies := <-q.done:
		return replies
	case <-p.over:
	}
	select {
	case replies := <-q.done:
		return replies
	case <-p.over:
		return nil
	}
}

// close returns the replies to Ask when no worker must answer any more.
func (p *Pool) close(id uint64, q *pendingQuery) {
	if len(q.open) > 0 || p.queries[id] == nil {
		return
	}
	delete(p.queries, id)
	slices.SortFunc(q.replies, func(a, b Reply) int { return a.Pid - b.Pid })
	q.done <- q.replies
}

// answered adds a piece of an answer.
func (p *Pool) answered(w *worker, m *Message) {
	q := p.queries[m.ID]
	if q == nil || q.open[w] == nil {
		return
	}
	if !w.believes("an answer", q.open[w].String(), m.Text, maxText) {
		return
	}
	q.open[w].WriteString(m.Text)
	if !m.More {
		q.replies = append(q.replies, Reply{w.pid, q.open[w].String()})
		delete(q.open, w)
		p.close(m.ID, q)
	}
}

// dropQueries expects no answers of w, which has died.
func (p *Pool) dropQueries(w *worker) {
	for id, q := range p.queries {
		delete(q.open, w)
		p.close(id, q)
	}
}

// Status describes a Pool.
type Status struct {
	Pid       int
	Since     time.Time
	Want      int    // number of workers
	Reloads   int    // that succeeded
	Reloading string // why, or ""
	Failure   string // why the last reload did not succeed, or ""
	Lost      int    // workers that have died although they should serve
	Recycled  int    // workers that were replaced one by one: max-requests, max-rss, stuck
	Workers   []WorkerStatus
}

// WorkerStatus describes a worker.
type WorkerStatus struct {
	Pid   int
	State State
	Since time.Time
	RSS   int64 // bytes
}

// Status returns the current state, or the zero Status when Run has ended. It is safe for concurrent use.
func (p *Pool) Status() (st Status) {
	done := make(chan struct{})
	asked := p.post(func() {
		defer close(done)
		st = Status{Pid: os.Getpid(), Since: p.since, Want: p.want, Reloads: max(0, p.adopted-1), Failure: p.failure, Lost: p.deaths, Recycled: p.recycled}
		if p.batch != nil {
			st.Reloading = p.batch.why
		}
		for _, w := range p.workers {
			st.Workers = append(st.Workers, WorkerStatus{Pid: w.pid, State: w.state, Since: w.started, RSS: confine.ResidentMemory(w.pid)})
		}
		slices.SortFunc(st.Workers, func(a, b WorkerStatus) int { return a.Pid - b.Pid })
	})
	if asked {
		<-done
	}
	return st
}

// A worker may ask the supervisor, too: what its status page shows is about all workers.

// query answers a worker, on a goroutine of its own: the answer may take questions to all workers.
func (p *Pool) query(w *worker, m *Message) {
	if p.o.Query == nil || w.querying == maxQueries {
		w.sendReply(m.ID, "")
		return
	}
	w.querying++
	go func() {
		text := p.o.Query(m.Text)
		p.post(func() {
			w.querying--
			w.sendReply(m.ID, text)
		})
	}()
}

// sendReply sends an answer in as many pieces as it takes.
func (w *worker) sendReply(id uint64, text string) {
	for len(text) > maxPiece {
		w.send(&Message{Kind: Replied, ID: id, Text: text[:maxPiece], More: true})
		text = text[maxPiece:]
	}
	w.send(&Message{Kind: Replied, ID: id, Text: text})
}

// farewell takes a piece of what w has to tell before it ends.
func (p *Pool) farewell(w *worker, m *Message) {
	if !w.believes("last words", w.farewell, m.Text, maxText) {
		return
	}
	w.farewell += m.Text
	if m.More {
		return
	}
	if p.o.Farewell != nil {
		p.o.Farewell(w.pid, w.farewell)
	}
	w.farewell = ""
}
