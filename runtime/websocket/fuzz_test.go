package websocket

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"fapws/runtime/checktest"
	"fapws/runtime/system"
)

func seeds(f *testing.F) {
	for i, data := range [][]byte{
		frame(0x81, "Hello"),
		cat(frame(0x01, "Hel"), frame(0x89, "ping"), frame(0x80, "lo"), frame(0x88, "\x03\xe8bye")),
		cat(frame(0x01, "\xe2"), frame(0x00, "\x82"), frame(0x80, "\xac")),
		frame(0xc1, "\xf2\x48\xcd\xc9\xc9\x07\x00"),
		cat(frame(0x42, string(pack(strings.Repeat("x", 3000)))), frame(0x80, "")),
		frame(0x82, strings.Repeat("y", 300)),
		{0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4},
		{0x81, 0x00},
	} {
		f.Add(data, uint8(i))
	}
}

func FuzzDecoder(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte, size uint8) {
		const most = 2000
		for _, inflater := range []*Inflater{nil, new(Inflater)} {
			whole := Decoder{Regions: new(system.Regions), Max: most, Inflater: inflater}
			cut := Decoder{Regions: new(system.Regions), Max: most, Inflater: inflater}
			a, b := decode(&whole, data, 0), decode(&cut, data, int(size)+1)
			checktest.Equalf(t, a, b, "%x: in pieces of %d", data, int(size)+1)
			for _, d := range []*Decoder{&whole, &cut} {
				checktest.Truef(t, cap(d.buf) <= 2*most && cap(d.control) <= 256,
					"%x: %d and %d bytes are kept", data, cap(d.buf), cap(d.control))
			}
			checktest.Truef(t, inflater == nil || inflater.out.Cap() <= 3*most+8<<10, "%x: too many bytes are kept", data)
		}
	})
}

func FuzzAgainstGobwas(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte, _ uint8) {
		d := Decoder{Regions: new(system.Regions), Max: 1 << 20}
		ours := decode(&d, data, 0)
		theirs, err := gobwas(data)
		if err != nil || strings.Contains(ours, "error 10") {
			return
		}
		checktest.Equalf(t, ours, theirs, "%x", data)
	})
}

// gobwas reads the frames with package gobwas/ws, assembles the messages, and returns them as text.
func gobwas(data []byte) (string, error) {
	var out strings.Builder
	r := bytes.NewReader(data)
	state := ws.StateServerSide
	var op ws.OpCode
	var message []byte
	for {
		h, err := ws.ReadHeader(r)
		if err == io.EOF || err == io.ErrUnexpectedEOF || err == nil && h.Length > int64(r.Len()) {
			return out.String(), nil
		}
		if err == nil {
			err = ws.CheckHeader(h, state)
		}
		if err != nil {
			return "", err
		}
		payload := make([]byte, h.Length)
		io.ReadFull(r, payload)
		ws.Cipher(payload, h.Mask, 0)
		switch {
		case h.OpCode == ws.OpClose && len(payload) == 0:
			return out.String() + `8 1005 "";`, nil
		case h.OpCode == ws.OpClose:
			code, reason := ws.ParseCloseFrameData(payload)
			if err := ws.CheckCloseFrameData(code, reason); err != nil || len(payload) < 2 {
				return "", errors.New("close")
			}
			fmt.Fprintf(&out, "8 %d ", code)
			tell(&out, reason)
			return out.String(), nil
		case h.OpCode.IsControl():
			fmt.Fprintf(&out, "%x ", byte(h.OpCode))
			tell(&out, string(payload))
			continue
		case h.OpCode != ws.OpContinuation:
			op, message = h.OpCode, nil
		}
		message = append(message, payload...)
		state = ws.StateServerSide | ws.StateFragmented
		if h.Fin {
			state = ws.StateServerSide
			if op == ws.OpText && !utf8.Valid(message) {
				return "", errors.New("text")
			}
			fmt.Fprintf(&out, "%x ", byte(op))
			tell(&out, string(message))
		}
	}
}

func tell(out *strings.Builder, data string) {
	if len(data) > 40 {
		fmt.Fprintf(out, "%d bytes;", len(data))
	} else {
		fmt.Fprintf(out, "%q;", data)
	}
}

func FuzzNegotiate(f *testing.F) {
	f.Add([]byte("permessage-deflate; client_max_window_bits"))
	f.Add([]byte(`permessage-deflate; server_max_window_bits="1\0", a; b=c,,d`))
	f.Fuzz(func(t *testing.T, value []byte) {
		c, valid := negotiate(value)
		checktest.Truef(t, !c.On || valid && c.Bits >= 8 && c.Bits <= MaxWindow, "%q: %+v", value, c)
		again, ok := negotiate([]byte(c.String()))
		checktest.Truef(t, !c.On || ok && again == c, "%q: %+v, then %+v", value, c, again)
	})
}
