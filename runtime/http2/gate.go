package http2

import (
	"encoding/binary"

	"golang.org/x/net/http2"

	"fapws/runtime/exchange"
)

// gate says which streams may be opened. It matters only with Config.Current.
type gate struct {
	// Current was called, and the frame that opens the next stream waits in the pending input with all later frames
	asking bool
	// bytes at the front of the pending input that had arrived before the call of Current, which has called done
	current int
}

// mustAsk reports whether the frame at the front of input opens a stream that must wait for Config.Current. It calls
// Current if necessary. If another process replaces this one before Current calls done, the client must open the stream
// on another connection (RFC 9113 §6.8).
func (c *Conn) mustAsk(input []byte) bool {
	switch id := binary.BigEndian.Uint32(input[5:]) &^ (1 << 31); {
	case c.gate.current > 0 || c.leaving == refuses:
		return false
	case http2.FrameType(input[3]) != http2.FrameHeaders || id <= c.last: // perhaps trailers
		return false
	case c.gate.asking:
		return true
	}
	c.gate.asking = true
	c.s.Arrived(c.client)
	arrived := len(input)
	c.s.AwaitCurrent(func() {
		c.gate = gate{current: arrived}
		if !c.closed && c.s.End >= exchange.Discouraged {
			c.Drain(false)
		}
		c.conn.Again()
	})
	return true
}
