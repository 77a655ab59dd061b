package conn

// Stop stops reading from c until Continue, because its handler has enough input. h selects the events that count
// meanwhile. It returns false if c is stopped already, or if nothing more comes.
func (c *Conn) Stop(h Heed) bool {
	if c.stopped || c.half {
		return false
	}
	if !c.paused {
		c.Pause(h)
	}
	c.stopped = true
	return true
}

// Stopped reports whether c is not read from because of Stop. It is false when another protocol has taken the connection.
func (c *Conn) Stopped() bool { return c.stopped }

// Continue ends a Stop, or another pause. The client may have waited since then, so its time begins again. It does not call
// Protocol.Input for the pending input: see Again.
func (c *Conn) Continue() {
	c.stopped = false
	c.Stamp = c.set.now
	if c.paused {
		c.Unpause()
	}
}
