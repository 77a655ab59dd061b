package wstest

import (
	"fmt"
	"strings"
)

// utf8Cases are 6: text that is UTF-8, or not.
func utf8Cases() []Case {
	const valid = "Hello-µ@ßöäüàá-UTF-8!!"
	const invalid = "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited"
	const start, illegal = "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5", "\xf4\x90\x80\x80"
	cut := strings.Index(valid, "@")
	cases := []Case{
		{ID: "6.1.1", send: []piece{text("")}, want: echoed(text(""))},
		{ID: "6.1.2", send: []piece{frame(Text, ""), frame(Continuation, ""), frame(Fin|Continuation, "")}, want: echoed(text(""))},
		{ID: "6.1.3", send: []piece{frame(Text, ""), frame(Continuation, "middle frame payload"), frame(Fin|Continuation, "")}, want: echoed(text("middle frame payload"))},
		{ID: "6.2.1", send: []piece{text(valid)}, want: echoed(text(valid))},
		{ID: "6.2.2", send: []piece{frame(Text, valid[:cut]), frame(Fin|Continuation, valid[cut:])}, want: echoed(text(valid))},
		{ID: "6.2.3", send: fragments(Text, valid, 1), want: echoed(text(valid))},
		{ID: "6.2.4", send: fragments(Text, "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5", 1), want: echoed(text("\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"))},
		{ID: "6.3.1", send: []piece{text(invalid)}, want: []string{invalidData}},
		{ID: "6.3.2", send: fragments(Text, invalid, 1), want: []string{invalidData}},
		// Refused before the message ends: 6.4 has to fail fast.
		{ID: "6.4.1", send: []piece{frame(Text, start), frame(Continuation, illegal)}, want: []string{invalidData}},
		{ID: "6.4.2", send: []piece{frame(Text, start+illegal[:2])}, want: []string{invalidData}},
	}
	add := func(group int, good bool, texts ...string) {
		for i, s := range texts {
			tc := Case{ID: fmt.Sprintf("6.%d.%d", group, i+1), send: []piece{text(s)}, want: []string{invalidData}}
			if good {
				tc.want = echoed(text(s))
			}
			cases = append(cases, tc)
			tc.ID += " in bytes"
			tc.send = fragments(Text, s, 1)
			cases = append(cases, tc)
		}
	}
	add(5, true, "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5", "Hello", "$", "¢", "€", "\xf0\xa4\xad\xa2")
	for i := 1; i <= len(start); i++ {
		good := i == 2 || i == 5 || i == 7 || i == 9 || i == 11
		tc := Case{ID: fmt.Sprint("6.6.", i), send: []piece{text(start[:i])}, want: []string{invalidData}}
		if good {
			tc.want = echoed(text(start[:i]))
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
