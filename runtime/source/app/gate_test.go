package app

import (
	"testing"

	"fapws/runtime/checktest"
	"fapws/runtime/exchange"
)

// crowd starts n exchanges of a source. They wait, because the Gate lets only one exchange run, and another exchange
// runs already.
func crowd(t *testing.T, n int) (r *rig, g *Gate, all []*exchange.Exchange) {
	t.Helper()
	g = NewGate(1)
	o := Options{Gate: g}
	r = newRig(t, o, Config{})
	source := r.Source(r.h, o)
	r.start()
	for range n {
		x := r.client.Exchange("POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n", "")
		x.Req.Body, x.Req.More = []byte("be"), true
		x.Source = source
		source.Start(x)
		copy(x.Req.Body, "??") // like a connection, which reuses this memory
		x.Req = nil
		all = append(all, x)
	}
	return r, g, all
}

func TestRequestWaitsForAPlaceOfTheGate(t *testing.T) {
	r, g, all := crowd(t, 3)
	checktest.Needf(t, g.active == 1 && len(g.waiting) == 3, "%d are active, %d wait", g.active, len(g.waiting))
	all[0].Source.OnGone(all[0])
	piece := []byte("gi")
	all[1].Source.Input(all[1], exchange.Input{Data: piece})
	copy(piece, "??")
	c := all[1].Source.(*call)
	checktest.Truef(t, string(c.held.request.Body) == "be" && string(c.held.request.Head[:6]) == "POST /",
		"%+v", c.held.request)
	r.make(exchange.Part{First: true, End: exchange.Complete, Head: exchange.Head{Status: 200}})
	r.run()
	checktest.Truef(t, g.active == 1 && len(g.waiting) == 1 && c.work == owing && all[1].By == "application",
		"%d are active, %d wait, work %d", g.active, len(g.waiting), c.work)
	checktest.Truef(t, len(r.h.inputs) == 1 && r.h.inputs[0] == "gi", "%q", r.h.inputs)
}

func TestGateAnswers503ToTooManyRequestsAndAfterTheTimeout(t *testing.T) {
	r, g, _ := crowd(t, mostWaiting+2)
	if n := len(r.client.Replies); n != 2 || r.client.Replies[0].Status != 503 || len(g.waiting) != mostWaiting {
		t.Errorf("%d replies, %d wait", n, len(g.waiting))
	}
	r.server.after(20 * second)
	r.Tick()
	checktest.Equalf(t, len(g.waiting), mostWaiting, "wait after 20 s")
	r.server.after(20 * second)
	r.Tick()
	if n := len(r.client.Replies); n != mostWaiting+2 || len(g.waiting) != 0 || g.active != 1 {
		t.Errorf("%d replies, %d wait, %d are active", n, len(g.waiting), g.active)
	}
}
