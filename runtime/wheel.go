package runtime

// wheel keeps connections by the time at which somebody should look at them.
// The loop does not touch it while a connection works: it only notes the time
// (conn.stamp), and the connection finds its new place when its slot comes up.
// So a timeout costs a request nothing, and ten thousand idle connections cost
// two list operations each per keep-alive time.
type wheel struct {
	slots [wheelSlots]*conn
	tick  int64 // the tick whose slot was swept last
}

const (
	wheelSlots = 256
	tickLength = int64(500e6) // nanoseconds
)

// add puts c where it comes up at the given time (nanoseconds), or as late as
// the wheel allows: who is swept early is put back.
func (w *wheel) add(c *conn, at int64) {
	t := (at + tickLength - 1) / tickLength
	t = min(max(t, w.tick+1), w.tick+wheelSlots-1)
	slot := &w.slots[t%wheelSlots]
	c.slot = slot
	c.prevC, c.nextC = nil, *slot
	if c.nextC != nil {
		c.nextC.prevC = c
	}
	*slot = c
}

// remove takes c out, if it is in.
func (w *wheel) remove(c *conn) {
	if c.slot == nil {
		return
	}
	if c.prevC != nil {
		c.prevC.nextC = c.nextC
	} else {
		*c.slot = c.nextC
	}
	if c.nextC != nil {
		c.nextC.prevC = c.prevC
	}
	c.prevC, c.nextC, c.slot = nil, nil, nil
}

// next takes out one connection whose time has come, or returns nil.
func (w *wheel) next(now int64) *conn {
	for {
		if c := w.slots[w.tick%wheelSlots]; c != nil {
			w.remove(c)
			return c
		}
		if w.tick >= now/tickLength {
			return nil
		}
		w.tick++
	}
}

// all returns every connection, in no particular order.
func (w *wheel) all() (list []*conn) {
	for _, c := range w.slots {
		for ; c != nil; c = c.nextC {
			list = append(list, c)
		}
	}
	return list
}
