package wstest

import (
	"fmt"
	"strings"
)

// closeCases are 7: how a WebSocket closes.
func closeCases() []Case {
	hello := text("Hello World!")
	normal := closing(1000, "")
	large := text(strings.Repeat("BAsd7&jh23", 25000))
	cases := []Case{
		{ID: "7.1.1", send: []piece{hello, normal}, want: append(echoed(hello), normalClose)},
		{ID: "7.1.2", send: []piece{normal, normal}, want: []string{normalClose}},
		{ID: "7.1.3", send: []piece{normal, ping("")}, want: []string{normalClose}},
		{ID: "7.1.4", send: []piece{normal, hello}, want: []string{normalClose}},
		{ID: "7.1.5", send: []piece{frame(Text, "fragment1"), normal, frame(Fin|Continuation, "fragment2")}, want: []string{normalClose}},
		{ID: "7.1.6", send: []piece{large, pause, normal, ping("")}, want: append(echoed(large), normalClose)},
		{ID: "7.3.1", send: []piece{frame(Fin|Close, "")}, want: []string{"close 1005"}},
		{ID: "7.3.2", send: []piece{frame(Fin|Close, "a")}, want: []string{protocolError}},
		{ID: "7.3.3", send: []piece{normal}, want: []string{normalClose}},
		{ID: "7.3.4", send: []piece{closing(1000, "Hello World!")}, want: []string{normalClose}},
		{ID: "7.3.5", send: []piece{closing(1000, strings.Repeat("*", 123))}, want: []string{normalClose}},
		{ID: "7.3.6", send: []piece{closing(1000, strings.Repeat("*", 124))}, want: []string{protocolError}},
		{ID: "7.5.1", send: []piece{closing(1000, "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited")}, want: []string{invalidData}},
	}
	for i, code := range []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999} {
		cases = append(cases, Case{ID: fmt.Sprint("7.7.", i+1), send: []piece{closing(code, "")}, want: []string{fmt.Sprint("close ", code)}})
	}
	for i, code := range []int{0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999} {
		cases = append(cases, Case{ID: fmt.Sprint("7.9.", i+1), send: []piece{closing(code, "")}, want: []string{protocolError}})
	}
	for i, code := range []int{5000, 65535} {
		cases = append(cases, Case{ID: fmt.Sprint("7.13.", i+1), send: []piece{closing(code, "")}, want: []string{protocolError}})
	}
	return cases
}

// limitCases are 9 and 10: large messages, in fragments and in small writes, and many.
func limitCases() (cases []Case) {
	for k, op := range []byte{Text, Binary} {
		for i, size := range []int{64 << 10, 256 << 10, 1 << 20} {
			m := frame(Fin|op, strings.Repeat("0123456789abcdef", size/16))
			cases = append(cases, Case{ID: fmt.Sprintf("9.%d.%d", k+1, i+1), send: []piece{m}, want: echoed(m)})
		}
		large := frame(Fin|op, strings.Repeat("0123456789abcdef", 1<<14))
		for i, size := range []int{64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10} {
			cases = append(cases, Case{ID: fmt.Sprintf("9.%d.%d", k+3, i+1), send: fragments(op, large.payload, size), want: echoed(large)})
		}
		for i, chop := range []int{64, 128, 256, 512, 1 << 10, 2 << 10} {
			cases = append(cases, Case{ID: fmt.Sprintf("9.%d.%d", k+5, i+1), send: []piece{large}, chop: chop, want: echoed(large)})
		}
		for i, size := range []int{0, 16, 64, 256, 1 << 10, 4 << 10} {
			tc := Case{ID: fmt.Sprintf("9.%d.%d", k+7, i+1), chop: -1}
			for range 200 {
				tc.send = append(tc.send, frame(Fin|op, strings.Repeat("*", size)))
			}
			tc.want = echoed(tc.send...)
			cases = append(cases, tc)
		}
	}
	m := text(strings.Repeat("*", 65536))
	return append(cases,
		Case{ID: "9.9 a byte too much", send: []piece{binaryOf(strings.Repeat("*", 1<<20+1))}, want: []string{"close 1009"}},
		Case{ID: "9.9 a byte too much in fragments", send: fragments(Binary, strings.Repeat("*", 1<<20+1), 1000), want: []string{"close 1009"}},
		Case{ID: "10.1.1", send: fragments(Text, m.payload, 1300), want: echoed(m)})
}
