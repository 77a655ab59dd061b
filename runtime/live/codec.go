package live

import (
	"fapws/runtime/exchange"
	"fapws/runtime/websocket"
)

// codec makes the frames of messages, and compresses messages. It processes one message at a time.
type codec struct {
	inflater websocket.Inflater
	deflater websocket.Deflater
}

// frame appends the header of a message to out, or the whole frame if compression makes the message smaller. body is
// the unsent part of the message.
func (k *codec) frame(c *websocket.Compression, out *[]byte, op websocket.Opcode, message []byte) (body []byte) {
	if packed, ok := k.pack(c, message); ok {
		*out = append(websocket.AppendHeader(*out, op, true, len(packed)), packed...)
		return nil
	}
	*out = websocket.AppendHeader(*out, op, false, len(message))
	return message
}

// pack compresses a message. ok is false if the message must be sent uncompressed. packed is valid until the next call.
func (k *codec) pack(c *websocket.Compression, message []byte) (packed []byte, ok bool) {
	if !compresses(c, len(message)) {
		return nil, false
	}
	return k.deflater.Deflate(message, c.Bits)
}

// frameOf returns the frame of a message for a client. A compressed frame is made once for all clients with the same
// window.
func (k *codec) frameOf(c *websocket.Compression, e *Event) []byte {
	if !compresses(c, len(e.Text())) {
		return e.Wire(1)
	}
	return e.Variant(uint8(c.Bits), func(text []byte) []byte {
		packed, ok := k.pack(c, text)
		if !ok {
			return e.Wire(1)
		}
		return append(websocket.AppendHeader(make([]byte, 0, len(packed)+websocket.MaxHeader), opcodeOf(e.Op), true,
			len(packed)), packed...)
	})
}

func compresses(c *websocket.Compression, n int) bool {
	return c.On && n >= websocket.DeflateFrom && n <= websocket.DeflateUpTo
}

func opcodeOf(op exchange.Op) websocket.Opcode {
	if op == exchange.OpText {
		return websocket.Text
	}
	return websocket.Binary
}
