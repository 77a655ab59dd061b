package worker

import (
	"context"
	"errors"
	"strings"
	"sync"

	"fapws/cmd/fapws/pool"
)

// queries are questions of a worker to its supervisor that wait for their answers. The zero value is empty. It is safe for
// concurrent use.
type queries struct {
	mu   sync.Mutex
	last uint64
	open map[uint64]*reply
}

type reply struct {
	text strings.Builder
	done chan string
}

// query asks the supervisor. It must not be called on the goroutine of listen, nor on the loop.
func (p *Parent) query(ctx context.Context, what string) (string, error) {
	q, r := &p.queries, &reply{done: make(chan string, 1)}
	q.mu.Lock()
	q.last++
	id := q.last
	if q.open == nil {
		q.open = map[uint64]*reply{}
	}
	q.open[id] = r
	q.mu.Unlock()
	defer func() {
		q.mu.Lock()
		delete(q.open, id)
		q.mu.Unlock()
	}()
	if err := p.channel.Send(&pool.Message{Kind: pool.Query, ID: id, Text: what}); err != nil {
		return "", err
	}
	select {
	case text := <-r.done:
		return text, nil
	case <-ctx.Done():
		return "", errors.New("the supervisor does not answer")
	}
}

// replied takes a piece of an answer.
func (p *Parent) replied(m *pool.Message) {
	q := &p.queries
	q.mu.Lock()
	defer q.mu.Unlock()
	r := q.open[m.ID]
	if r == nil {
		return
	}
	r.text.WriteString(m.Text)
	if !m.More {
		r.done <- r.text.String()
		delete(q.open, m.ID)
	}
}
