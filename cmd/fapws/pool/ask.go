package pool

import (
	"context"
	"os"
	"slices"
	"strings"
	"time"

	"fapws/cmd/fapws/memory"
)

// Reply is what a worker answers to Ask.
type Reply struct {
	Pid  int
	Text string
}

// question is an Ask under way.
type question struct {
	open    map[*worker]*strings.Builder
	replies []Reply
	done    chan []Reply
}

// Ask puts a question to every worker that has loaded and returns what they
// answer, by process number. When ctx ends those that have not answered are
// left out.
func (s *Pool) Ask(ctx context.Context, what string) []Reply {
	q := &question{open: make(map[*worker]*strings.Builder), done: make(chan []Reply, 1)}
	var id uint64
	asked := s.post(func() {
		s.lastID++
		id = s.lastID
		s.questions[id] = q
		for _, w := range s.workers {
			if w.state >= Ready && w.state < Dead {
				q.open[w] = new(strings.Builder)
				w.send(&Message{Kind: Ask, ID: id, Text: what})
			}
		}
		s.close(id, q)
	})
	if !asked {
		return nil
	}
	select {
	case <-ctx.Done():
		s.post(func() {
			clear(q.open)
			s.close(id, q)
		})
	case replies := <-q.done:
		return replies
	case <-s.over:
	}
	select {
	case replies := <-q.done:
		return replies
	case <-s.over:
		return nil
	}
}

// close ends a question that nobody has to answer any more.
func (s *Pool) close(id uint64, q *question) {
	if len(q.open) > 0 || s.questions[id] == nil {
		return
	}
	delete(s.questions, id)
	slices.SortFunc(q.replies, func(a, b Reply) int { return a.Pid - b.Pid })
	q.done <- q.replies
}

// answered takes a piece of an answer.
func (s *Pool) answered(w *worker, m *Message) {
	q := s.questions[m.ID]
	if q == nil || q.open[w] == nil {
		return
	}
	q.open[w].WriteString(m.Text)
	if !m.More {
		q.replies = append(q.replies, Reply{w.pid, q.open[w].String()})
		delete(q.open, w)
		s.close(m.ID, q)
	}
}

// forgetQuestions is called when w has died.
func (s *Pool) forgetQuestions(w *worker) {
	for id, q := range s.questions {
		delete(q.open, w)
		s.close(id, q)
	}
}

// Status is what a Pool is about.
type Status struct {
	Pid       int
	Since     time.Time
	Want      int    // number of workers
	Reloads   int    // that succeeded
	Reloading string // why, or ""
	Failure   string // why the last reload did not succeed, or ""
	Workers   []WorkerStatus
}

// WorkerStatus is what a worker is about.
type WorkerStatus struct {
	Pid   int
	State State
	Since time.Time
	RSS   int64 // bytes
}

// Status returns how things are; the zero Status when Run has ended.
func (s *Pool) Status() (st Status) {
	done := make(chan struct{})
	asked := s.post(func() {
		defer close(done)
		st = Status{Pid: os.Getpid(), Since: s.since, Want: s.want, Reloads: max(0, s.adopted-1), Failure: s.failure}
		if s.batch != nil {
			st.Reloading = s.batch.why
		}
		for _, w := range s.workers {
			st.Workers = append(st.Workers, WorkerStatus{Pid: w.pid, State: w.state, Since: w.started, RSS: memory.Resident(w.pid)})
		}
		slices.SortFunc(st.Workers, func(a, b WorkerStatus) int { return a.Pid - b.Pid })
	})
	if asked {
		<-done
	}
	return st
}
