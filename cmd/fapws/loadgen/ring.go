package loadgen

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
