package conn

// Pending returns the input that was kept and not used yet. It is valid until the next call of a method.
func (c *Conn) Pending() []byte { return c.in[c.off:] }

// Keep keeps input that cannot be used now, behind the pending input.
func (c *Conn) Keep(b []byte) {
	if len(b) == 0 {
		return
	}
	if c.off > 0 { // make room at the front first
		c.in = c.in[:copy(c.in, c.Pending())]
		c.off = 0
	}
	if c.in == nil {
		c.in = c.set.takeBuffer()
	}
	c.in = append(c.in, b...)
}

// Consume takes n bytes off the pending input.
func (c *Conn) Consume(n int) {
	if c.off += int32(n); int(c.off) >= len(c.in) {
		c.DropInput()
	}
}

// Again has c go on soon, in Set.Resume, with its pending input.
func (c *Conn) Again() {
	if !c.again {
		c.again = true
		c.set.again = append(c.set.again, c)
	}
}

// WaitsForAgain reports whether Again was called and Input was not since then.
func (c *Conn) WaitsForAgain() bool { return c.again }

// DropInput throws the pending input away, and gives its memory back.
func (c *Conn) DropInput() {
	if s := c.set; cap(c.in) == smallBuffer && len(s.spare) < cap(s.spare) {
		s.spare = append(s.spare, c.in[:0])
	}
	c.in, c.off = nil, 0
}

// takeBuffer returns an empty buffer for input.
func (s *Set) takeBuffer() []byte {
	if n := len(s.spare); n > 0 {
		b := s.spare[n-1]
		s.spare = s.spare[:n-1]
		return b
	}
	return make([]byte, 0, smallBuffer)
}
