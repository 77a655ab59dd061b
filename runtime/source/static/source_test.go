package static

import (
	"testing"
	"time"

	"fapws/runtime/eventloop/looptest"
	"fapws/runtime/exchange/exchangetest"
)

// Here each client disconnects before its turn, so the source must send nothing.
func TestSourceWaitsForItsTurnInThePipeline(t *testing.T) {
	s := NewSource(serve(t, Options{Root: tree(t, map[string]string{"a.txt": "content"})}), false)
	loop := looptest.New(t)
	looptest.Run(t, loop, func() {})
	for _, c := range []*exchangetest.Client{{Waits: true}, {Loop: loop}} {
		looptest.Do(loop, func() {
			x := c.Exchange("GET /a.txt HTTP/1.1\r\nHost: x\r\n\r\n", "")
			x.Source = s
			s.Start(x)
			x.Abandon()
		})
		time.Sleep(20 * time.Millisecond)
		looptest.Do(loop, func() {
			if len(c.Parts)+len(c.Replies) > 0 {
				t.Errorf("%+v", c)
			}
		})
	}
}
