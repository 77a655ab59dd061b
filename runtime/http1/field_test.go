package http1

import (
	"fmt"
	"testing"

	"fapws/runtime/checktest"
)

// FuzzEdits checks that edits of any accepted head give the spans that parsing the edited head gives. Bit i of removed
// removes field i.
func FuzzEdits(f *testing.F) {
	for _, in := range append(seeds(),
		on11("GET /", "X-Forwarded-For: a\r\nUpgrade:\r\n"),
		"GET / HTTP/1.1\r\nX-Forwarded-For: a\r\nHost:\r\n\r\n",
		"GET / HTTP/1.0\r\nUpgrade: \r\nX: a\r\nUpgrade: b\r\nHost: \t\r\n\r\n",
		"GET http://a?b HTTP/1.1\r\ntraceparent: a\r\nX-Request-Id: b\r\nhost:\r\n\r\n") {
		f.Add([]byte(in), uint64(1), true, false)
		f.Add([]byte(in), ^uint64(0), false, true)
	}
	f.Fuzz(func(t *testing.T, in []byte, removed uint64, traces, requests bool) {
		var r Request
		n, err := r.Parse(in, &DefaultLimits)
		if err != nil {
			return
		}
		head := in[n-r.HeadLen : n]
		i := -1
		const before = "not a part of the head"
		forwarded := r.Forwarded
		edited := r.AppendWithout([]byte(before), head, func(Field) bool { i++; return removed>>(i%64)&1 != 0 })[len(before):]
		checktest.Needf(t, spans(&r) == parsedSpans(edited), "%q without fields %b: %s, want %s", head, removed, spans(&r),
			parsedSpans(edited))
		checktest.Equal(t, r.Forwarded, forwarded)
		id := NewIdentifier(traces, requests)
		for _, head := range [][]byte{head, edited} {
			if id == nil || r.lines(head, &DefaultLimits, false) != nil {
				continue
			}
			edited, _ := id.Rewrite([]byte(before), head, &r, true, false, new(Identity))
			edited = edited[len(before):]
			checktest.Needf(t, spans(&r) == parsedSpans(edited), "%q with an identity: %s, want %s", head, spans(&r),
				parsedSpans(edited))
		}
	})
}

func spans(r *Request) string {
	return fmt.Sprint(r.Method, r.Target, r.Path, r.Query, r.Authority, r.Host, r.UpgradeTo, r.Fields, r.HeadLen)
}

// parsedSpans ignores errors that concern several lines, because the test may have removed the field Host.
func parsedSpans(head []byte) string {
	limits := DefaultLimits.Plus(OwnFields, OwnLines)
	var r Request
	_ = r.lines(head, &limits, false)
	return spans(&r)
}
