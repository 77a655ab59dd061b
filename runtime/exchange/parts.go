package exchange

import (
	"slices"

	"fapws/runtime/conn"
)

// Parts is a queue of parts that wait until earlier output was sent.
type Parts struct {
	queue []Part
	// number of elements at the front of queue that Take has already returned; always less than half of len(queue)
	taken  int
	unsent *conn.Unsent
}

func (q *Parts) Empty() bool { return len(q.queue) == 0 }

func (q *Parts) EndsWithLast() bool { return !q.Empty() && q.queue[len(q.queue)-1].Last() }

func (q *Parts) Put(p *Part) { q.queue = append(q.queue, *p) }

func (q *Parts) PutFirst(p *Part) { q.queue = slices.Insert(q.queue, q.taken, *p) }

// Take removes and returns the first part. q must not be empty.
func (q *Parts) Take() Part {
	p := q.queue[q.taken]
	if q.taken++; 2*q.taken >= len(q.queue) { // do not move a thousand waiting parts at each Take
		q.queue, q.taken = slices.Delete(q.queue, 0, q.taken), 0
	}
	if q.Empty() && cap(q.queue) > 16 {
		q.queue = nil
	}
	return p
}

func (q *Parts) TakeAll() []Part {
	all := q.queue[q.taken:]
	q.queue, q.taken = nil, 0
	return all
}

func (q *Parts) Unsent() int64 { return q.unsent.Size() }

// Count adds p with its left unwritten bytes to the ledger if p is large. It returns nil if q has no counted part.
func (q *Parts) Count(in *conn.Set, of conn.Response, p *Part, left int) *conn.Unsent {
	if len(p.Body) >= conn.CountedPart {
		q.begin()
		in.Unsent.Add(q.unsent, of, p.Body, left, in.Now)
	}
	return q.unsent
}

// If p is large, Uncount removes it from the ledger. left is the number of unsent bytes of p.
func (q *Parts) Uncount(in *conn.Set, p *Part, left int) {
	if q.unsent != nil {
		in.Unsent.Drop(q.unsent, p.Body, left)
	}
}

func (q *Parts) begin() {
	if q.unsent == nil {
		q.unsent = new(conn.Unsent)
	}
}

// hold appends p to q, and counts it even if it is small. The caller must call unheld after removing p from q.
func (q *Parts) hold(in *conn.Set, of conn.Response, p *Part) {
	q.Put(p)
	if q.Count(in, of, p, len(p.Body)); len(p.Body) < conn.CountedPart {
		q.begin()
		in.Unsent.AddSmall(q.unsent, of, len(p.Body)+len(p.Head.Fields), in.Now)
	}
}

func (q *Parts) unheld(in *conn.Set, p *Part) {
	if q.Uncount(in, p, len(p.Body)); q.unsent != nil && len(p.Body) < conn.CountedPart {
		in.Unsent.DropSmall(q.unsent, len(p.Body)+len(p.Head.Fields), in.Now)
	}
}
