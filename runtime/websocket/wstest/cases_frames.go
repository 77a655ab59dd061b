package wstest

import (
	"fmt"
	"slices"
	"strings"
)

// framingCases are 1.1 and 1.2: sizes.
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

// pingCases are 2: pings and pongs.
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
		{ID: "2.9", send: []piece{pong("unsolicited pong payload"), ping("ping payload")}, want: echoed(pong("ping payload"))},
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

// reservedCases are 3 and 4: reserved bits and opcodes.
func reservedCases() []Case {
	hello := text("Hello, world!")
	echo := echoed(hello)
	bad := append(slices.Clone(echo), protocolError)
	cases := []Case{
		{ID: "3.1", send: []piece{frame(Fin|RSV3|Text, "Hello, world!")}, want: []string{protocolError}},
		{ID: "3.2", send: []piece{hello, frame(Fin|RSV2|Text, "Hello, world!"), ping("")}, want: bad},
		{ID: "3.3", send: []piece{hello, frame(Fin|RSV2|RSV3|Text, "Hello, world!"), ping("")}, chop: -1, want: bad},
		{ID: "3.4", send: []piece{hello, frame(Fin|RSV1|Text, "Hello, world!"), ping("")}, chop: 1, want: bad},
		{ID: "3.5", send: []piece{frame(Fin|RSV1|RSV3|Binary, "\x00\xff\xfe")}, want: []string{protocolError}},
		{ID: "3.6", send: []piece{frame(Fin|RSV1|RSV2|Ping, "Hello, world!")}, want: []string{protocolError}},
		{ID: "3.7", send: []piece{frame(Fin|RSV1|RSV2|RSV3|Close, "\x03\xe8")}, want: []string{protocolError}},
	}
	for k, first := range []byte{3, 11} {
		for i := range byte(5) {
			op := Fin | first + i
			tc := Case{ID: fmt.Sprintf("4.%d.%d", k+1, i+1), send: []piece{frame(op, "")}, want: []string{protocolError}}
			if i > 0 {
				tc.send = []piece{frame(op, "reserved opcode payload")}
			}
			if i >= 2 {
				tc.send, tc.want = append([]piece{hello}, append(tc.send, ping(""))...), bad
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
func fragmentCases() (cases []Case) {
	const one, two = "fragment1", "fragment2"
	whole := show(Text, one+two)
	hello := text("Hello, world!")
	pong := show(Pong, "ping payload")
	for i, chop := range []int{0, -1, 1} {
		cases = append(cases,
			Case{ID: fmt.Sprint("5.", i+3), chop: chop, send: []piece{frame(Text, one), frame(Fin|Continuation, two)}, want: []string{whole}},
			Case{ID: fmt.Sprint("5.", i+6), chop: chop, send: []piece{frame(Text, one), ping("ping payload"), frame(Fin|Continuation, two)}, want: []string{pong, whole}},
			Case{ID: fmt.Sprint("5.", i+9), chop: chop, send: []piece{frame(Fin|Continuation, "non-continuation payload"), hello}, want: []string{protocolError}},
			Case{ID: fmt.Sprint("5.", i+12), chop: chop, send: []piece{frame(Continuation, "non-continuation payload"), hello}, want: []string{protocolError}})
	}
	long := []piece{frame(Text, one), frame(Continuation, two), ping("1"), frame(Continuation, "fragment3"), frame(Continuation, "fragment4"), ping("2"), frame(Fin|Continuation, "fragment5")}
	slow := slices.Insert(slices.Clone(long), 3, pause)
	want := []string{show(Pong, "1"), show(Pong, "2"), show(Text, "fragment1fragment2fragment3fragment4fragment5")}
	return append(cases,
		Case{ID: "5.1", send: []piece{frame(Ping, one), frame(Fin|Continuation, two)}, want: []string{protocolError}},
		Case{ID: "5.2", send: []piece{frame(Pong, one), frame(Fin|Continuation, two)}, want: []string{protocolError}},
		Case{ID: "5.15", send: []piece{frame(Text, one), frame(Fin|Continuation, two), frame(Continuation, "fragment3"), text("fragment4")}, want: []string{whole, protocolError}},
		Case{ID: "5.16", send: []piece{frame(Continuation, one), frame(Text, two), frame(Fin|Continuation, "fragment3")}, want: []string{protocolError}},
		Case{ID: "5.17", send: []piece{frame(Fin|Continuation, one), frame(Text, two), frame(Fin|Continuation, "fragment3")}, want: []string{protocolError}},
		Case{ID: "5.18", send: []piece{frame(Text, one), frame(Fin|Text, two)}, want: []string{protocolError}},
		Case{ID: "5.19", send: slow, want: want},
		Case{ID: "5.20", send: long, want: want},
	)
}
