package http2

import (
	"golang.org/x/net/http2"
	"golang.org/x/sys/unix"

	"fapws/runtime/conn"
	"fapws/runtime/protocol/http"
)

// Follower sends something behind a response whose exchange has ended, through an Outlet. Its methods are called on the event loop.
type Follower interface {
	// Room is called when there is room again, after Outlet.AwaitRoom.
	Room()

	// Gone is called once when the stream has ended by itself, not after Outlet.Close.
	Gone(why string)
}

// Outlet is a stream that goes on behind its response. It implements Outlet of package protocol/sse. All methods must be called on the
// event loop.
type Outlet struct {
	st     *stream
	to     Follower
	awaits bool // Room is to be called
}

// Follow makes the stream that carries x, whose response was written but for its end, an Outlet of f. It returns nil if x is not carried
// by a stream. Exchange.Upgrade calls it.
func Follow(x *http.Exchange, f Follower) *Outlet {
	st, ok := x.Carrier.(*stream)
	if !ok {
		return nil
	}
	st.outlet = &Outlet{st: st, to: f}
	return st.outlet
}

// Send writes as many bytes of pieces as there is room for. The error says that the stream has ended.
func (o *Outlet) Send(pieces [][]byte) (n int, err error) {
	st := o.st
	c := st.c
	total := 0
	for _, b := range pieces {
		total += len(b)
	}
	for n < total && st.outlet == o && st.credit > 0 && c.credit > 0 && !c.conn.Writing() {
		size := min(total-n, int(min(st.credit, c.credit, int64(c.frame))))
		out := c.output()
		*out = appendFrameHeader(*out, size, http2.FrameData, 0, st.id)
		n += size
		for left := size; left > 0; {
			k := min(left, len(pieces[0]))
			*out = append(*out, pieces[0][:k]...)
			left -= k
			if pieces[0] = pieces[0][k:]; len(pieces[0]) == 0 {
				pieces = pieces[1:]
			}
		}
		st.credit -= int64(size)
		c.credit -= int64(size)
		c.sent = c.s.Now()
		if size >= smallPiece || n == total { // else the client opens its window little by little
			c.budget.earn(budgetFrame)
		}
		if len(*out) > conn.FlushLimit {
			c.s.Set.Flush()
		}
	}
	if c.conn.Gathers() {
		c.s.Set.Flush()
	}
	if st.outlet != o {
		return n, unix.EPIPE
	}
	if n < total {
		o.AwaitRoom()
	}
	return n, nil
}

// AwaitRoom has Follower.Room called when there is room again.
func (o *Outlet) AwaitRoom() {
	if o.st.outlet == o {
		o.awaits = true
		o.st.c.enqueue(o.st)
	}
}

// room calls Follower.Room.
func (o *Outlet) room() {
	o.st.c.dequeue(o.st)
	o.awaits = false
	o.to.Room()
}

// Close ends the stream. broken: the client should see that it has not got everything.
func (o *Outlet) Close(broken bool) {
	st := o.st
	c := st.c
	if st.outlet != o {
		return
	}
	st.outlet = nil
	c.forget(st)
	if c.dead {
		return
	}
	if broken {
		c.writeReset(st.id, http2.ErrCodeCancel)
	} else {
		out := c.output()
		*out = appendFrameHeader(*out, 0, http2.FrameData, http2.FlagDataEndStream, st.id)
		if !st.ended {
			c.writeReset(st.id, http2.ErrCodeNo)
		}
	}
	if c.conn.Gathers() {
		c.s.Set.Flush()
	}
	c.settle()
}
