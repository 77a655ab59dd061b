package live

import (
	"fmt"

	"fapws/runtime/exchange"
	"fapws/runtime/websocket"
)

// Only input above these limits, in bytes, is counted in the client's share of memory.
const (
	smallMessage = 16 << 10
	// total size of the messages that a handler has not yet processed; handlers rarely have more
	smallInput = 2 * exchange.InputWindow
)

type largeInput struct {
	client string
	bytes  int64
}

var errShare = &websocket.Error{Code: websocket.TooBig, Text: "too many bytes of messages of this client are in memory"}

// weigh counts the bytes of input that s keeps in memory: the incomplete message, the messages that the handler has not
// processed, and the next message of n bytes for the handler. If the message would exceed the client's share, weigh
// returns false and does not count the input.
func (a *Sockets) weigh(s *Socket, n int) bool {
	bytes := int64(n) + int64(s.outstanding)
	if bytes <= smallInput {
		bytes = 0
	}
	if begun := int64(s.decoder.Buffered()); begun > smallMessage {
		bytes += begun
	}
	if s.state == socketClosed {
		bytes = 0
	}
	switch {
	case s.large == nil && bytes == 0:
		return true
	case s.large == nil:
		s.large = &largeInput{client: s.x.Account()}
	}
	grows := bytes - s.large.bytes
	memory := &a.sites.InputMemory
	if grows > 0 && memory.Free(s.large.client) < grows {
		return false
	}
	memory.Add(s.large.client, grows)
	if s.large.bytes = bytes; bytes == 0 {
		s.large = nil
	}
	return true
}

func (a *Sockets) reportTooBig(s *Socket, e *websocket.Error) {
	if s.x == nil {
		return
	}
	sent := fmt.Sprintf("WebSocket closed with %d: %s", e.Code, e.Text)
	limit := exchange.Limit{Setting: "--ws-max-size", Max: int64(s.decoder.Max), Size: int64(s.decoder.TooBig)}
	if e == errShare {
		sent += fmt.Sprintf(" (at most a third of %d)", a.sites.InputMemory.Max)
		limit = exchange.Limit{}
	}
	s.x.NoteLimit(sent, limit)
}
