package static

import (
	"testing"

	"fapws/runtime/exchange/exchangetest"
)

// A source that is not next waits, and one whose client has left sends nothing.
func TestSourceWaits(t *testing.T) {
	s := NewSource(serve(t, Options{Root: tree(t, map[string]string{"a.txt": "content"})}), false)
	for _, c := range []*exchangetest.Client{{Waits: true}, {Left: true}} {
		s.Start(c.Exchange("GET /a.txt HTTP/1.1\r\nHost: x\r\n\r\n", ""))
		if len(c.Parts)+len(c.Replies) > 0 {
			t.Errorf("%+v", c)
		}
	}
}
