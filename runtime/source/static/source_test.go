package static

import (
	"testing"

	"fapws/runtime/exchange/exchangetest"
)

// A source that is not next waits.
func TestSourceWaits(t *testing.T) {
	s := NewSource(serve(t, Options{Root: tree(t, map[string]string{"a.txt": "content"})}), false)
	c := exchangetest.Client{Waits: true}
	s.Start(c.Exchange("GET /a.txt HTTP/1.1\r\nHost: x\r\n\r\n", ""))
	if len(c.Parts)+len(c.Replies) > 0 {
		t.Errorf("%+v", c)
	}
}
