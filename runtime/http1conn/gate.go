package http1conn

// gate says whether the next request of a connection may be parsed. It is used only with Config.Current.
type gate uint8

const (
	closed gate = iota // Config.Current must be called
	// Config.Current was called, and the request waits in the pending input
	asking
	open
)

// mustAsk reports whether the arriving request must wait for Config.Current. It calls Current if necessary.
func (c *Conn) mustAsk() bool {
	s := c.s
	if s.Config.Current == nil || c.gate == open || c.Busy() || c.Subrequest() {
		return false
	}
	if c.gate == closed {
		if c.state == StateNew {
			s.Arrived(&c.Client)
		}
		c.gate, c.Stamp = asking, s.Set.Now
		s.AwaitCurrent(func() {
			if c.gate == asking { // the connection was not handed over
				c.gate = open
				c.queue()
			}
		})
	}
	c.setState(StateWaiting)
	return true
}
