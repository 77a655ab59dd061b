package wstest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
)

func framingCases() (cases []Case) {
	for k, message := range []func(string) piece{text, binaryOf} {
		for i, size := range []int{0, 125, 126, 127, 128, 65535, 65536, 65536} {
			m := message(strings.Repeat("*", size))
			tc := Case{ID: fmt.Sprintf("1.%d.%d", k+1, i+1), send: []piece{m}, want: echoed(m)}
			if i == 7 {
				tc.chop = 997
			}
			cases = append(cases, tc)
		}
	}
	return cases
}

func pingCases() (cases []Case) {
	const binary = "\x00\xff\xfe\xfd\xfc\xfb\x00\xff"
	pong := func(s string) piece { return frame(Fin|Pong, s) }
	full := strings.Repeat("\xfe", 125)
	cases = []Case{
		{ID: "2.1", send: []piece{ping("")}, want: echoed(pong(""))},
		{ID: "2.2", send: []piece{ping("Hello, world!")}, want: echoed(pong("Hello, world!"))},
		{ID: "2.3", send: []piece{ping(binary)}, want: echoed(pong(binary))},
		{ID: "2.4", send: []piece{ping(full)}, want: echoed(pong(full))},
		{ID: "2.5", send: []piece{ping(full + "\xfe")}, want: []string{protocolError}},
		{ID: "2.6", send: []piece{ping(full)}, chop: 1, want: echoed(pong(full))},
		{ID: "2.7", send: []piece{pong("")}},
		{ID: "2.8", send: []piece{pong("unsolicited pong payload")}},
		{ID: "2.9", send: []piece{pong("unsolicited pong payload"), ping("ping payload")},
			want: echoed(pong("ping payload"))},
		{ID: "2.10"}, {ID: "2.11", chop: 1},
	}
	for i := range 10 {
		for k := len(cases) - 2; k < len(cases); k++ {
			p := fmt.Sprintf("payload-%d", i)
			cases[k].send = append(cases[k].send, ping(p))
			cases[k].want = append(cases[k].want, echoed(pong(p))...)
		}
	}
	return cases
}

func reservedCases() []Case {
	hello := text("Hello, world!")
	bad := append(echoed(hello), protocolError)
	return []Case{
		{ID: "3.2", send: []piece{hello, frame(Fin|RSV2|Text, "Hello, world!"), ping("")}, want: bad},
		{ID: "3.4", send: []piece{hello, frame(Fin|RSV1|Text, "Hello, world!"), ping("")}, chop: 1, want: bad},
		{ID: "4.1.3", send: []piece{hello, frame(Fin|5, "reserved opcode payload"), ping("")}, want: bad},
		{ID: "4.2.4", send: []piece{hello, frame(Fin|14, "reserved opcode payload"), ping("")}, chop: 1, want: bad},
	}
}

func fragmentCases() (cases []Case) {
	const one, two = "fragment1", "fragment2"
	whole := show(Text, one+two)
	hello := text("Hello, world!")
	pong := show(Pong, "ping payload")
	for i, chop := range []int{0, -1, 1} {
		cases = append(cases,
			Case{ID: fmt.Sprint("5.", i+3), chop: chop, send: []piece{frame(Text, one), frame(Fin|Continuation, two)},
				want: []string{whole}},
			Case{ID: fmt.Sprint("5.", i+6), chop: chop, send: []piece{frame(Text, one), ping("ping payload"),
				frame(Fin|Continuation, two)}, want: []string{pong, whole}},
			Case{ID: fmt.Sprint("5.", i+9), chop: chop,
				send: []piece{frame(Fin|Continuation, "non-continuation payload"), hello},
				want: []string{protocolError}})
	}
	long := []piece{frame(Text, one), frame(Continuation, two), ping("1"), frame(Continuation, "fragment3"),
		frame(Continuation, "fragment4"), ping("2"), frame(Fin|Continuation, "fragment5")}
	slow := slices.Insert(slices.Clone(long), 3, pause)
	want := []string{show(Pong, "1"), show(Pong, "2"), show(Text, "fragment1fragment2fragment3fragment4fragment5")}
	return append(cases,
		Case{ID: "5.1", send: []piece{frame(Ping, one), frame(Fin|Continuation, two)}, want: []string{protocolError}},
		Case{ID: "5.15", send: []piece{frame(Text, one), frame(Fin|Continuation, two), frame(Continuation, "fragment3"),
			text("fragment4")}, want: []string{whole, protocolError}},
		Case{ID: "5.18", send: []piece{frame(Text, one), frame(Fin|Text, two)}, want: []string{protocolError}},
		Case{ID: "5.19", send: slow, want: want},
		Case{ID: "5.20", send: long, want: want},
	)
}

func utf8Cases() []Case {
	const valid = "Hello-µ@ßöäüàá-UTF-8!!"
	const invalid = "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited"
	const start, illegal = "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5", "\xf4\x90\x80\x80"
	cut := strings.Index(valid, "@")
	return []Case{
		{ID: "6.1.1", send: []piece{text("")}, want: echoed(text(""))},
		{ID: "6.1.2", send: []piece{frame(Text, ""), frame(Continuation, ""), frame(Fin|Continuation, "")},
			want: echoed(text(""))},
		{ID: "6.1.3", send: []piece{frame(Text, ""), frame(Continuation, "middle frame payload"),
			frame(Fin|Continuation, "")}, want: echoed(text("middle frame payload"))},
		{ID: "6.2.1", send: []piece{text(valid)}, want: echoed(text(valid))},
		{ID: "6.2.2", send: []piece{frame(Text, valid[:cut]), frame(Fin|Continuation, valid[cut:])},
			want: echoed(text(valid))},
		{ID: "6.2.3", send: fragments(Text, valid, 1), want: echoed(text(valid))},
		{ID: "6.2.4", send: fragments(Text, "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5", 1),
			want: echoed(text("\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"))},
		{ID: "6.3.1", send: []piece{text(invalid)}, want: []string{invalidData}},
		{ID: "6.3.2", send: fragments(Text, invalid, 1), want: []string{invalidData}},
		// Section 6.4 of the suite requires the server to reject invalid text before the end of the message.
		{ID: "6.4.1", send: []piece{frame(Text, start), frame(Continuation, illegal)}, want: []string{invalidData}},
		{ID: "6.4.2", send: []piece{frame(Text, start+illegal[:2])}, want: []string{invalidData}},
	}
}

func closeCases() []Case {
	hello := text("Hello World!")
	normal := closing(1000, "")
	large := text(strings.Repeat("BAsd7&jh23", 25000))
	cases := []Case{
		{ID: "7.1.1", send: []piece{hello, normal}, want: append(echoed(hello), normalClose)},
		{ID: "7.1.2", send: []piece{normal, normal}, want: []string{normalClose}},
		{ID: "7.1.3", send: []piece{normal, ping("")}, want: []string{normalClose}},
		{ID: "7.1.4", send: []piece{normal, hello}, want: []string{normalClose}},
		{ID: "7.1.5", send: []piece{frame(Text, "fragment1"), normal, frame(Fin|Continuation, "fragment2")},
			want: []string{normalClose}},
		{ID: "7.1.6", send: []piece{large, pause, normal, ping("")}, want: append(echoed(large), normalClose)},
		{ID: "7.3.1", send: []piece{frame(Fin|Close, "")}, want: []string{"close 1005"}},
		{ID: "7.3.2", send: []piece{frame(Fin|Close, "a")}, want: []string{protocolError}},
		{ID: "7.3.3", send: []piece{normal}, want: []string{normalClose}},
		{ID: "7.3.4", send: []piece{closing(1000, "Hello World!")}, want: []string{normalClose}},
		{ID: "7.3.5", send: []piece{closing(1000, strings.Repeat("*", 123))}, want: []string{normalClose}},
		{ID: "7.3.6", send: []piece{closing(1000, strings.Repeat("*", 124))}, want: []string{protocolError}},
		{ID: "7.5.1", send: []piece{closing(1000, "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited")},
			want: []string{invalidData}},
	}
	for i, code := range []int{1001, 1014, 3000, 4999} {
		cases = append(cases, Case{ID: fmt.Sprint("7.7.", i+1), send: []piece{closing(code, "")},
			want: []string{fmt.Sprint("close ", code)}})
	}
	for i, code := range []int{999, 1005, 2999, 5000} {
		cases = append(cases, Case{ID: fmt.Sprint("7.9.", i+1), send: []piece{closing(code, "")},
			want: []string{protocolError}})
	}
	return cases
}

func limitCases() (cases []Case) {
	for k, op := range []byte{Text, Binary} {
		for i, size := range []int{64 << 10, 256 << 10, 1 << 20} {
			m := frame(Fin|op, strings.Repeat("0123456789abcdef", size/16))
			cases = append(cases, Case{ID: fmt.Sprintf("9.%d.%d", k+1, i+1), send: []piece{m}, want: echoed(m)})
		}
		large := frame(Fin|op, strings.Repeat("0123456789abcdef", 1<<14))
		for i, size := range []int{64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10} {
			cases = append(cases, Case{ID: fmt.Sprintf("9.%d.%d", k+3, i+1), send: fragments(op, large.payload, size),
				want: echoed(large)})
		}
		for i, chop := range []int{64, 128, 256, 512, 1 << 10, 2 << 10} {
			cases = append(cases, Case{ID: fmt.Sprintf("9.%d.%d", k+5, i+1), send: []piece{large}, chop: chop,
				want: echoed(large)})
		}
		for i, size := range []int{0, 16, 64, 256, 1 << 10, 4 << 10} {
			tc := Case{ID: fmt.Sprintf("9.%d.%d", k+7, i+1), chop: -1}
			for range min(1100, 1<<20/(size+1)) {
				tc.send = append(tc.send, frame(Fin|op, strings.Repeat("*", size)))
			}
			tc.want = echoed(tc.send...)
			cases = append(cases, tc)
		}
	}
	m := text(strings.Repeat("*", 65536))
	return append(cases,
		Case{ID: "9.9 a byte too much", send: []piece{binaryOf(strings.Repeat("*", 16<<20+1))}, want: []string{"close 1009"}},
		Case{ID: "9.9 a byte too much in fragments", send: fragments(Binary, strings.Repeat("*", 16<<20+1), 16000),
			want: []string{"close 1009"}},
		Case{ID: "10.1.1", send: fragments(Text, m.payload, 1300), want: echoed(m)})
}

// Offers lists values of Sec-WebSocket-Extensions. Some of these values are from section 13 of the Autobahn suite.
var Offers = []string{
	"permessage-deflate",
	"permessage-deflate; client_no_context_takeover; client_max_window_bits",
	"permessage-deflate; server_no_context_takeover; client_max_window_bits=9",
	"permessage-deflate; server_max_window_bits=8; client_max_window_bits=8",
	"permessage-deflate; server_max_window_bits=9; client_max_window_bits=9",
	"permessage-deflate; server_max_window_bits=15; client_max_window_bits",
	"permessage-deflate; mode=other, permessage-deflate; server_max_window_bits=12",
}

// Compression sends compressed messages of many sizes, whole and in fragments, to an echo server, as sections 12 and 13
// of the Autobahn suite do. The error describes a wrong response.
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
		for size > 0 && json[size]&0xc0 == 0x80 {
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
