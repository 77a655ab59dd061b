package wstest

import (
	"bytes"
	"errors"
	"fmt"
)

// Offers are those that Compression is to be tried with: 13 of the Autobahn test suite has
// some of them.
var Offers = []string{
	"permessage-deflate",
	"permessage-deflate; client_no_context_takeover; client_max_window_bits",
	"permessage-deflate; server_no_context_takeover; client_max_window_bits=9",
	"permessage-deflate; server_max_window_bits=8; client_max_window_bits=8",
	"permessage-deflate; server_max_window_bits=9; client_max_window_bits=9",
	"permessage-deflate; server_max_window_bits=15; client_max_window_bits",
	"permessage-deflate; mode=other, permessage-deflate; server_max_window_bits=12",
}

// Compression sends messages of many sizes, compressed, whole and in fragments, to a server that echoes: 12 and 13 of
// the Autobahn test suite. The error describes a wrong answer.
func Compression(addr, path, offer string) error {
	json := bytes.Repeat([]byte(`{"name": "Ürsula", "age": 42, "list": [1, 2, 3, 4]}, `), 3000)
	noise := make([]byte, len(json))
	for i, x := 0, uint32(1); i < len(noise); i++ {
		x = x*1664525 + 1013904223
		noise[i] = byte(x >> 24)
	}
	c, err := Dial(addr, path, "Sec-WebSocket-Extensions: "+offer)
	if err != nil {
		return err
	}
	defer c.Conn.Close()
	if !c.Deflate {
		return errors.New("compression was not agreed on")
	}
	for i, size := range []int{0, 16, 64, 256, 1 << 10, 4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10, 128 << 10} {
		for size > 0 && json[size]&0xc0 == 0x80 { // in the middle of a character
			size--
		}
		message, op := json[:size], byte(Text)
		if i%3 == 2 {
			message, op = noise[:size], Binary
		}
		packed := string(c.Pack(message))
		for _, cut := range []int{max(1, len(packed)), 256, 1000} {
			list := fragments(op, packed, cut)
			list[0].first |= RSV1
			for n, p := range list {
				if n == 1 {
					c.WriteFrame(Fin|Ping, []byte("between"))
				}
				if err := c.WriteFrame(p.first, []byte(p.payload)); err != nil {
					return err
				}
			}
			gotOp, got, err := c.Receive()
			if err != nil || gotOp != op || !bytes.Equal(got, message) {
				return fmt.Errorf("%d bytes in pieces of %d: got %d of %x, %v", size, cut, len(got), gotOp, err)
			}
		}
	}
	closed, err := c.CloseWith(1000, "")
	if err != nil || closed.Code != 1000 {
		return fmt.Errorf("closing: %v, %v", closed, err)
	}
	return nil
}
