package pybridge

import (
	"testing"

	"fapws/runtime/exchange"
)

// BenchmarkExchange is what the bridge costs beside the loop: a request goes
// in and its response comes back. Inline, batch 1, it is what Python adds to
// a fixed answer: FAPWS_TEST_MODE=inline.
func BenchmarkExchange(b *testing.B) {
	for _, c := range []struct {
		target string
		batch  int
		body   int
	}{{"/hello", 1, 0}, {"/hello", 16, 0}, {"/five_fields", 16, 0}, {"/as_json", 16, 0}, {"/echo", 16, 4096}} {
		b.Run(c.target[1:]+"_"+itoa(c.batch), func(b *testing.B) {
			head, parsed := parseHead(b, "POST "+c.target, int64(c.body))
			body := make([]byte, c.body)
			mount, script := loop.route(b, c.target)
			loop.do(func() {
				var p exchange.Part
				for i := 0; i < b.N; i += c.batch {
					for j := range c.batch {
						loop.h.Submit(&exchange.Request{Ticket: exchange.Ticket(j), Mount: mount, Head: head, Parsed: parsed,
							Path: []byte(c.target), Script: script, Spool: -1, Peer: testPeer, Body: body, Size: int64(c.body)})
					}
					loop.h.Flush()
					for done := 0; done < c.batch; {
						if loop.h.Next(&p) {
							loop.h.Release(&p)
							done++
						}
					}
				}
			})
		})
	}
}
