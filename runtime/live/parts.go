package live

import (
	"fapws/runtime/conn"
	"fapws/runtime/exchange"
)

// parts are the parts that wait until a client takes the earlier output, in order. A ledger counts the large ones.
type parts struct {
	queue  []exchange.Part
	unsent *conn.Unsent // nil without large parts
}

func (q *parts) empty() bool { return len(q.queue) == 0 }

func (q *parts) endsWithLast() bool { return !q.empty() && q.queue[len(q.queue)-1].Last() }

func (q *parts) put(p *exchange.Part) { q.queue = append(q.queue, *p) }

func (q *parts) putFirst(p *exchange.Part) { q.queue = append([]exchange.Part{*p}, q.queue...) }

func (q *parts) take() exchange.Part {
	p := q.queue[0]
	q.queue[0] = exchange.Part{}
	q.queue = q.queue[1:]
	return p
}

func (q *parts) takeAll() []exchange.Part {
	all := q.queue
	q.queue = nil
	return all
}

// count adds p to the waiting output of the server if p is large. left is the number of its unwritten bytes.
func (q *parts) count(in *conn.Set, of conn.Response, p *exchange.Part, left int) *conn.Unsent {
	if len(p.Body) >= conn.CountedPart {
		if q.unsent == nil {
			q.unsent = new(conn.Unsent)
		}
		in.Unsent.Add(q.unsent, of, p.Body, left, in.Now)
	}
	return q.unsent
}

// uncount removes p from the waiting output if count has added it. left is the number of discarded bytes.
func (q *parts) uncount(in *conn.Set, p *exchange.Part, left int) {
	if q.unsent != nil {
		in.Unsent.Drop(q.unsent, p.Body, left)
	}
}
