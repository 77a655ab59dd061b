package runtime

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"fapws/runtime/websocket/wstest"
)

// The cases of the Autobahn test suite for servers that echo, by their numbers, as far
// as they can be told from RFC 6455 and RFC 7692; larger ones are smaller here.

// wsFrame is a frame to be sent, or a pause between writes.
type wsFrame struct {
	first   byte
	payload string
	pause   bool // so that the server sees what was sent before
}

// wsCase is what a client sends, and what the server has to answer.
type wsCase struct {
	id   string
	send []wsFrame
	chop int      // bytes written at once; 0: all, -1: a frame
	want []string // messages and control frames, see show; "close N" at the end if the server closes
}

const (
	fin, rsv1, rsv2, rsv3                   = wstest.Fin, wstest.RSV1, wstest.RSV2, wstest.RSV3
	opCont, opText, opBin                   = wstest.Continuation, wstest.Text, wstest.Binary
	opClose, opPing, opPong                 = wstest.Close, wstest.Ping, wstest.Pong
	protocolError, invalidData, normalClose = "close 1002", "close 1007", "close 1000"
)

func textOf(s string) wsFrame          { return wsFrame{first: fin | opText, payload: s} }
func binaryOf(s string) wsFrame        { return wsFrame{first: fin | opBin, payload: s} }
func pingOf(s string) wsFrame          { return wsFrame{first: fin | opPing, payload: s} }
func frameOf(b byte, s string) wsFrame { return wsFrame{first: b, payload: s} }

func closeOf(code int, reason string) wsFrame {
	return wsFrame{first: fin | opClose, payload: string([]byte{byte(code >> 8), byte(code)}) + reason}
}

var pause = wsFrame{pause: true}

// show is how a frame or a message is written in wsCase.want.
func show(op byte, data string) string {
	if len(data) > 200 {
		sum := 0
		for i := range len(data) {
			sum = sum*31%1000003 + int(data[i])
		}
		data = fmt.Sprintf("%d bytes %d", len(data), sum)
	}
	return fmt.Sprintf("%x %q", op, data)
}

// fragments cuts a message into frames of size bytes.
func fragments(op byte, message string, size int) (list []wsFrame) {
	for first := op; ; first = opCont {
		n := min(size, len(message))
		list = append(list, frameOf(first, message[:n]))
		if message = message[n:]; message == "" {
			list[len(list)-1].first |= fin
			return list
		}
	}
}

func echoed(messages ...wsFrame) (want []string) {
	for _, m := range messages {
		want = append(want, show(m.first&15, m.payload))
	}
	return want
}

func (tc *wsCase) run(t *testing.T, s *testServer) {
	c := s.socket(t)
	var buf []byte
	sent := make(chan struct{})
	write := func(b []byte) bool {
		_, err := c.Conn.Write(b)
		if err != nil && !tc.closes() {
			t.Errorf("writing: %v", err)
		}
		return err == nil
	}
	go func() {
		defer close(sent)
		for _, p := range tc.send {
			if p.pause {
				if !write(buf) {
					return
				}
				buf = nil
				time.Sleep(5 * time.Millisecond)
				continue
			}
			buf = c.AppendFrame(buf, p.first, []byte(p.payload))
			if tc.chop == -1 {
				if !write(buf) {
					return
				}
				buf = nil
			}
		}
		if tc.chop <= 0 {
			write(buf)
			return
		}
		for len(buf) > 0 && write(buf[:min(tc.chop, len(buf))]) {
			buf = buf[min(tc.chop, len(buf)):]
		}
	}()
	var got []string
	for len(got) < len(tc.want) {
		f, err := c.ReadFrame()
		if err != nil {
			t.Fatalf("after %q: %v", got, err)
		}
		if f.Op() == wstest.Close {
			code, _ := f.Code()
			got = append(got, fmt.Sprintf("close %d", code))
			break
		}
		if f.First&0x70 != 0 || f.First&wstest.Fin == 0 {
			t.Errorf("a frame with %02x", f.First)
		}
		got = append(got, show(f.Op(), string(f.Payload)))
	}
	if !slices.Equal(got, tc.want) {
		t.Fatalf("got %q, want %q", got, tc.want)
	}
	<-sent
	if !tc.closes() {
		closed, err := c.CloseWith(1000, "")
		if err != nil || closed.Code != 1000 {
			t.Errorf("%v, %v", closed, err)
		}
		return
	}
	if _, err := c.ReadFrame(); !errors.Is(err, io.EOF) {
		t.Errorf("behind the close frame: %v", err)
	}
}

func (tc *wsCase) closes() bool {
	return len(tc.want) > 0 && strings.HasPrefix(tc.want[len(tc.want)-1], "close")
}

func TestWebSocketCases(t *testing.T) {
	s := serveTalks(t, Config{}, newTalkApp())
	cases := slices.Concat(framingCases(), pingCases(), reservedCases(), fragmentCases(), utf8Cases(), closeCases(), limitCases())
	seen := map[string]bool{}
	for _, tc := range cases {
		if seen[tc.id] {
			t.Errorf("%s is there twice", tc.id)
		}
		seen[tc.id] = true
		t.Run(tc.id, func(t *testing.T) {
			t.Parallel()
			tc.run(t, s)
		})
	}
}

// framingCases are 1.1 and 1.2: sizes.
func framingCases() (cases []wsCase) {
	for k, message := range []func(string) wsFrame{textOf, binaryOf} {
		for i, size := range []int{0, 125, 126, 127, 128, 65535, 65536, 65536} {
			m := message(strings.Repeat("*", size))
			tc := wsCase{id: fmt.Sprintf("1.%d.%d", k+1, i+1), send: []wsFrame{m}, want: echoed(m)}
			if i == 7 {
				tc.chop = 997
			}
			cases = append(cases, tc)
		}
	}
	return cases
}

// pingCases are 2: pings and pongs.
func pingCases() (cases []wsCase) {
	const binary = "\x00\xff\xfe\xfd\xfc\xfb\x00\xff"
	pong := func(s string) wsFrame { return frameOf(fin|opPong, s) }
	full := strings.Repeat("\xfe", 125)
	cases = []wsCase{
		{id: "2.1", send: []wsFrame{pingOf("")}, want: echoed(pong(""))},
		{id: "2.2", send: []wsFrame{pingOf("Hello, world!")}, want: echoed(pong("Hello, world!"))},
		{id: "2.3", send: []wsFrame{pingOf(binary)}, want: echoed(pong(binary))},
		{id: "2.4", send: []wsFrame{pingOf(full)}, want: echoed(pong(full))},
		{id: "2.5", send: []wsFrame{pingOf(full + "\xfe")}, want: []string{protocolError}},
		{id: "2.6", send: []wsFrame{pingOf(full)}, chop: 1, want: echoed(pong(full))},
		{id: "2.7", send: []wsFrame{pong("")}},
		{id: "2.8", send: []wsFrame{pong("unsolicited pong payload")}},
		{id: "2.9", send: []wsFrame{pong("unsolicited pong payload"), pingOf("ping payload")}, want: echoed(pong("ping payload"))},
		{id: "2.10"}, {id: "2.11", chop: 1},
	}
	for i := range 10 {
		for k := len(cases) - 2; k < len(cases); k++ {
			p := fmt.Sprintf("payload-%d", i)
			cases[k].send = append(cases[k].send, pingOf(p))
			cases[k].want = append(cases[k].want, echoed(pong(p))...)
		}
	}
	return cases
}

// reservedCases are 3 and 4: reserved bits and opcodes.
func reservedCases() []wsCase {
	hello := textOf("Hello, world!")
	echo := echoed(hello)
	bad := append(slices.Clone(echo), protocolError)
	cases := []wsCase{
		{id: "3.1", send: []wsFrame{frameOf(fin|rsv3|opText, "Hello, world!")}, want: []string{protocolError}},
		{id: "3.2", send: []wsFrame{hello, frameOf(fin|rsv2|opText, "Hello, world!"), pingOf("")}, want: bad},
		{id: "3.3", send: []wsFrame{hello, frameOf(fin|rsv2|rsv3|opText, "Hello, world!"), pingOf("")}, chop: -1, want: bad},
		{id: "3.4", send: []wsFrame{hello, frameOf(fin|rsv1|opText, "Hello, world!"), pingOf("")}, chop: 1, want: bad},
		{id: "3.5", send: []wsFrame{frameOf(fin|rsv1|rsv3|opBin, "\x00\xff\xfe")}, want: []string{protocolError}},
		{id: "3.6", send: []wsFrame{frameOf(fin|rsv1|rsv2|opPing, "Hello, world!")}, want: []string{protocolError}},
		{id: "3.7", send: []wsFrame{frameOf(fin|rsv1|rsv2|rsv3|opClose, "\x03\xe8")}, want: []string{protocolError}},
	}
	for k, first := range []byte{3, 11} {
		for i := range byte(5) {
			op := fin | first + i
			tc := wsCase{id: fmt.Sprintf("4.%d.%d", k+1, i+1), send: []wsFrame{frameOf(op, "")}, want: []string{protocolError}}
			if i > 0 {
				tc.send = []wsFrame{frameOf(op, "reserved opcode payload")}
			}
			if i >= 2 {
				tc.send, tc.want = append([]wsFrame{hello}, append(tc.send, pingOf(""))...), bad
			}
			if i >= 3 {
				tc.chop = 1
			}
			cases = append(cases, tc)
		}
	}
	return cases
}

// fragmentCases are 5: fragmentation.
func fragmentCases() (cases []wsCase) {
	const one, two = "fragment1", "fragment2"
	whole := show(opText, one+two)
	hello := textOf("Hello, world!")
	pong := show(opPong, "ping payload")
	for i, chop := range []int{0, -1, 1} {
		cases = append(cases,
			wsCase{id: fmt.Sprint("5.", i+3), chop: chop, send: []wsFrame{frameOf(opText, one), frameOf(fin|opCont, two)}, want: []string{whole}},
			wsCase{id: fmt.Sprint("5.", i+6), chop: chop, send: []wsFrame{frameOf(opText, one), pingOf("ping payload"), frameOf(fin|opCont, two)}, want: []string{pong, whole}},
			wsCase{id: fmt.Sprint("5.", i+9), chop: chop, send: []wsFrame{frameOf(fin|opCont, "non-continuation payload"), hello}, want: []string{protocolError}},
			wsCase{id: fmt.Sprint("5.", i+12), chop: chop, send: []wsFrame{frameOf(opCont, "non-continuation payload"), hello}, want: []string{protocolError}})
	}
	long := []wsFrame{frameOf(opText, one), frameOf(opCont, two), pingOf("1"), frameOf(opCont, "fragment3"), frameOf(opCont, "fragment4"), pingOf("2"), frameOf(fin|opCont, "fragment5")}
	slow := slices.Insert(slices.Clone(long), 3, pause)
	want := []string{show(opPong, "1"), show(opPong, "2"), show(opText, "fragment1fragment2fragment3fragment4fragment5")}
	return append(cases,
		wsCase{id: "5.1", send: []wsFrame{frameOf(opPing, one), frameOf(fin|opCont, two)}, want: []string{protocolError}},
		wsCase{id: "5.2", send: []wsFrame{frameOf(opPong, one), frameOf(fin|opCont, two)}, want: []string{protocolError}},
		wsCase{id: "5.15", send: []wsFrame{frameOf(opText, one), frameOf(fin|opCont, two), frameOf(opCont, "fragment3"), textOf("fragment4")}, want: []string{whole, protocolError}},
		wsCase{id: "5.16", send: []wsFrame{frameOf(opCont, one), frameOf(opText, two), frameOf(fin|opCont, "fragment3")}, want: []string{protocolError}},
		wsCase{id: "5.17", send: []wsFrame{frameOf(fin|opCont, one), frameOf(opText, two), frameOf(fin|opCont, "fragment3")}, want: []string{protocolError}},
		wsCase{id: "5.18", send: []wsFrame{frameOf(opText, one), frameOf(fin|opText, two)}, want: []string{protocolError}},
		wsCase{id: "5.19", send: slow, want: want},
		wsCase{id: "5.20", send: long, want: want},
	)
}

// utf8Cases are 6: text that is UTF-8, or not.
func utf8Cases() []wsCase {
	const valid = "Hello-µ@ßöäüàá-UTF-8!!"
	const invalid = "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited"
	const start, illegal = "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5", "\xf4\x90\x80\x80"
	cut := strings.Index(valid, "@")
	cases := []wsCase{
		{id: "6.1.1", send: []wsFrame{textOf("")}, want: echoed(textOf(""))},
		{id: "6.1.2", send: []wsFrame{frameOf(opText, ""), frameOf(opCont, ""), frameOf(fin|opCont, "")}, want: echoed(textOf(""))},
		{id: "6.1.3", send: []wsFrame{frameOf(opText, ""), frameOf(opCont, "middle frame payload"), frameOf(fin|opCont, "")}, want: echoed(textOf("middle frame payload"))},
		{id: "6.2.1", send: []wsFrame{textOf(valid)}, want: echoed(textOf(valid))},
		{id: "6.2.2", send: []wsFrame{frameOf(opText, valid[:cut]), frameOf(fin|opCont, valid[cut:])}, want: echoed(textOf(valid))},
		{id: "6.2.3", send: fragments(opText, valid, 1), want: echoed(textOf(valid))},
		{id: "6.2.4", send: fragments(opText, "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5", 1), want: echoed(textOf("\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"))},
		{id: "6.3.1", send: []wsFrame{textOf(invalid)}, want: []string{invalidData}},
		{id: "6.3.2", send: fragments(opText, invalid, 1), want: []string{invalidData}},
		// Refused before the message ends: 6.4 has to fail fast.
		{id: "6.4.1", send: []wsFrame{frameOf(opText, start), frameOf(opCont, illegal)}, want: []string{invalidData}},
		{id: "6.4.2", send: []wsFrame{frameOf(opText, start+illegal[:2])}, want: []string{invalidData}},
	}
	add := func(group int, good bool, texts ...string) {
		for i, s := range texts {
			tc := wsCase{id: fmt.Sprintf("6.%d.%d", group, i+1), send: []wsFrame{textOf(s)}, want: []string{invalidData}}
			if good {
				tc.want = echoed(textOf(s))
			}
			cases = append(cases, tc)
			tc.id += " in bytes"
			tc.send = fragments(opText, s, 1)
			cases = append(cases, tc)
		}
	}
	add(5, true, "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5", "Hello", "$", "¢", "€", "\xf0\xa4\xad\xa2")
	for i := 1; i <= len(start); i++ {
		good := i == 2 || i == 5 || i == 7 || i == 9 || i == 11
		tc := wsCase{id: fmt.Sprint("6.6.", i), send: []wsFrame{textOf(start[:i])}, want: []string{invalidData}}
		if good {
			tc.want = echoed(textOf(start[:i]))
		}
		cases = append(cases, tc)
	}
	add(7, true, "\x00", "\xc2\x80", "\xe0\xa0\x80", "\xf0\x90\x80\x80")
	add(8, false, "\xf8\x88\x80\x80\x80", "\xfc\x84\x80\x80\x80\x80")
	add(9, true, "\x7f", "\xdf\xbf", "\xef\xbf\xbf", "\xf4\x8f\xbf\xbf")
	add(10, false, "\xf7\xbf\xbf\xbf", "\xfb\xbf\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf\xbf")
	add(11, true, "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbd", "\xf4\x8f\xbf\xbf")
	add(12, false, "\xf4\x90\x80\x80")
	add(13, false, "\x80", "\xbf", "\x80\xbf", "\x80\xbf\x80", "\x80\xbf\x80\xbf\x80\xbf")
	add(14, false, "\xc0 \xc1 \xc2 ", "\xe0 \xe1 \xe2 ", "\xf0 \xf1 \xf2 ", "\xf8 \xf9 ", "\xfc \xfd ", "\xc0", "\xe0\x80", "\xf0\x80\x80", "\xdf", "\xef\xbf", "\xf7\xbf\xbf")
	add(15, false, "\xc0\xe0\x80\xf0\x80\x80\xf8\x80\x80\x80")
	add(16, false, "\xfe", "\xff", "\xfe\xfe\xff\xff")
	add(17, false, "\xc0\xaf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf", "\xf8\x80\x80\x80\xaf", "\xfc\x80\x80\x80\x80\xaf")
	add(18, false, "\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xf8\x87\xbf\xbf\xbf", "\xfc\x83\xbf\xbf\xbf\xbf")
	add(19, false, "\xc0\x80", "\xe0\x80\x80", "\xf0\x80\x80\x80", "\xf8\x80\x80\x80\x80", "\xfc\x80\x80\x80\x80\x80")
	add(20, false, "\xed\xa0\x80", "\xed\xad\xbf", "\xed\xae\x80", "\xed\xaf\xbf", "\xed\xb0\x80", "\xed\xbe\x80", "\xed\xbf\xbf")
	add(21, false, "\xed\xa0\x80\xed\xb0\x80", "\xed\xa0\x80\xed\xbf\xbf", "\xed\xad\xbf\xed\xb0\x80", "\xed\xaf\xbf\xed\xbf\xbf")
	add(22, true, "\xef\xbf\xbe", "\xef\xbf\xbf", "\xf0\x9f\xbf\xbe", "\xf0\x9f\xbf\xbf", "\xf0\xaf\xbf\xbe", "\xf4\x8f\xbf\xbe", "\xf4\x8f\xbf\xbf")
	add(23, true, "\xef\xbf\xb9", "\xef\xbf\xba", "\xef\xbf\xbb", "\xef\xbf\xbc", "\xef\xbf\xbd", "\xef\xbf\xbe", "\xef\xbf\xbf")
	return cases
}

// closeCases are 7: how a WebSocket closes.
func closeCases() []wsCase {
	hello := textOf("Hello World!")
	normal := closeOf(1000, "")
	large := textOf(strings.Repeat("BAsd7&jh23", 25000))
	cases := []wsCase{
		{id: "7.1.1", send: []wsFrame{hello, normal}, want: append(echoed(hello), normalClose)},
		{id: "7.1.2", send: []wsFrame{normal, normal}, want: []string{normalClose}},
		{id: "7.1.3", send: []wsFrame{normal, pingOf("")}, want: []string{normalClose}},
		{id: "7.1.4", send: []wsFrame{normal, hello}, want: []string{normalClose}},
		{id: "7.1.5", send: []wsFrame{frameOf(opText, "fragment1"), normal, frameOf(fin|opCont, "fragment2")}, want: []string{normalClose}},
		{id: "7.1.6", send: []wsFrame{large, pause, normal, pingOf("")}, want: append(echoed(large), normalClose)},
		{id: "7.3.1", send: []wsFrame{frameOf(fin|opClose, "")}, want: []string{"close 1005"}},
		{id: "7.3.2", send: []wsFrame{frameOf(fin|opClose, "a")}, want: []string{protocolError}},
		{id: "7.3.3", send: []wsFrame{normal}, want: []string{normalClose}},
		{id: "7.3.4", send: []wsFrame{closeOf(1000, "Hello World!")}, want: []string{normalClose}},
		{id: "7.3.5", send: []wsFrame{closeOf(1000, strings.Repeat("*", 123))}, want: []string{normalClose}},
		{id: "7.3.6", send: []wsFrame{closeOf(1000, strings.Repeat("*", 124))}, want: []string{protocolError}},
		{id: "7.5.1", send: []wsFrame{closeOf(1000, "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited")}, want: []string{invalidData}},
	}
	for i, code := range []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999} {
		cases = append(cases, wsCase{id: fmt.Sprint("7.7.", i+1), send: []wsFrame{closeOf(code, "")}, want: []string{fmt.Sprint("close ", code)}})
	}
	for i, code := range []int{0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999} {
		cases = append(cases, wsCase{id: fmt.Sprint("7.9.", i+1), send: []wsFrame{closeOf(code, "")}, want: []string{protocolError}})
	}
	for i, code := range []int{5000, 65535} {
		cases = append(cases, wsCase{id: fmt.Sprint("7.13.", i+1), send: []wsFrame{closeOf(code, "")}, want: []string{protocolError}})
	}
	return cases
}

// limitCases are 9 and 10: large messages, in fragments and in small writes, and many.
func limitCases() (cases []wsCase) {
	for k, op := range []byte{opText, opBin} {
		for i, size := range []int{64 << 10, 256 << 10, 1 << 20} {
			m := frameOf(fin|op, strings.Repeat("0123456789abcdef", size/16))
			cases = append(cases, wsCase{id: fmt.Sprintf("9.%d.%d", k+1, i+1), send: []wsFrame{m}, want: echoed(m)})
		}
		large := frameOf(fin|op, strings.Repeat("0123456789abcdef", 1<<14))
		for i, size := range []int{64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10} {
			cases = append(cases, wsCase{id: fmt.Sprintf("9.%d.%d", k+3, i+1), send: fragments(op, large.payload, size), want: echoed(large)})
		}
		for i, chop := range []int{64, 128, 256, 512, 1 << 10, 2 << 10} {
			cases = append(cases, wsCase{id: fmt.Sprintf("9.%d.%d", k+5, i+1), send: []wsFrame{large}, chop: chop, want: echoed(large)})
		}
		for i, size := range []int{0, 16, 64, 256, 1 << 10, 4 << 10} {
			tc := wsCase{id: fmt.Sprintf("9.%d.%d", k+7, i+1), chop: -1}
			for range 200 {
				tc.send = append(tc.send, frameOf(fin|op, strings.Repeat("*", size)))
			}
			tc.want = echoed(tc.send...)
			cases = append(cases, tc)
		}
	}
	m := textOf(strings.Repeat("*", 65536))
	return append(cases,
		wsCase{id: "9.9 a byte too much", send: []wsFrame{binaryOf(strings.Repeat("*", 1<<20+1))}, want: []string{"close 1009"}},
		wsCase{id: "9.9 a byte too much in fragments", send: fragments(opBin, strings.Repeat("*", 1<<20+1), 1000), want: []string{"close 1009"}},
		wsCase{id: "10.1.1", send: fragments(opText, m.payload, 1300), want: echoed(m)})
}

// TestWebSocketCompressionCases are 12 and 13: messages of many sizes, compressed with
// each set of parameters, whole and in fragments.
func TestWebSocketCompressionCases(t *testing.T) {
	s := serveTalks(t, Config{}, newTalkApp())
	json := bytes.Repeat([]byte(`{"name": "Ürsula", "age": 42, "list": [1, 2, 3, 4]}, `), 3000)
	noise := make([]byte, len(json))
	for i, x := 0, uint32(1); i < len(noise); i++ {
		x = x*1664525 + 1013904223
		noise[i] = byte(x >> 24)
	}
	for k, offer := range []string{
		"permessage-deflate",
		"permessage-deflate; client_no_context_takeover; client_max_window_bits",
		"permessage-deflate; server_no_context_takeover; client_max_window_bits=9",
		"permessage-deflate; server_max_window_bits=8; client_max_window_bits=8",
		"permessage-deflate; server_max_window_bits=9; client_max_window_bits=9",
		"permessage-deflate; server_max_window_bits=15; client_max_window_bits",
		"permessage-deflate; mode=other, permessage-deflate; server_max_window_bits=12",
	} {
		t.Run(fmt.Sprint("13.", k+1), func(t *testing.T) {
			t.Parallel()
			c := s.socket(t, "Sec-WebSocket-Extensions: "+offer)
			if !c.Deflate {
				t.Fatal("not agreed on")
			}
			for i, size := range []int{0, 16, 64, 256, 1 << 10, 4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10, 128 << 10} {
				for _, cut := range []int{0, 256, 1000} {
					message, op := json[:size], byte(opText)
					for size > 0 && size < len(json) && json[size]&0xc0 == 0x80 {
						size--
						message = json[:size]
					}
					if i%3 == 2 {
						message, op = noise[:size], opBin
					}
					packed := string(c.Pack(message))
					if cut == 0 {
						cut = max(1, len(packed))
					}
					list := fragments(op, packed, cut)
					list[0].first |= rsv1
					for n, p := range list {
						if n == 1 {
							c.WriteFrame(fin|opPing, []byte("between"))
						}
						c.WriteFrame(p.first, []byte(p.payload))
					}
					gotOp, got, err := c.Receive()
					if err != nil || gotOp != op || !bytes.Equal(got, message) {
						t.Fatalf("%d bytes in pieces of %d: got %d of %x, %v", size, cut, len(got), gotOp, err)
					}
				}
			}
			if closed, err := c.CloseWith(1000, ""); err != nil || closed.Code != 1000 {
				t.Error(closed, err)
			}
		})
	}
	for _, test := range []struct {
		id, payload string
		code        int
	}{
		{"a bomb", string((&wstest.Client{}).Pack(make([]byte, 40<<20))), 1009},
		{"not compressed", "Hello, world!", 1007},
		{"not UTF-8", string((&wstest.Client{}).Pack([]byte("\xff\xfe"))), 1007},
	} {
		c := s.socket(t, wstest.Deflate)
		c.WriteFrame(fin|rsv1|opText, []byte(test.payload))
		var closed *wstest.Closed
		if _, _, err := c.Receive(); !errors.As(err, &closed) || closed.Code != test.code {
			t.Errorf("%s: %v", test.id, err)
		}
	}
}
