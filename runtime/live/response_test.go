package live

import (
	"fmt"
	"strings"
	"testing"

	"fapws/runtime/checktest"
	"fapws/runtime/exchange"
	"fapws/runtime/exchange/exchangetest"
)

type handler struct {
	exchange.Memory
	gone     int
	released []string
	inputs   int
}

func (h *handler) OnGone(*exchange.Exchange)                { h.gone++ }
func (h *handler) Input(*exchange.Exchange, exchange.Input) { h.inputs++ }
func (h *handler) Release(p *exchange.Part) {
	h.released = append(h.released, fmt.Sprintf("%s %v", p.Body, p.Last()))
}

// answer makes a handler answer a request with parts. Afterwards done is called on the loop with the client.
func (h *host) answer(request string, done func(x *exchange.Exchange, client *exchangetest.Client, handler *handler),
	parts ...exchange.Part) {
	h.t.Helper()
	h.Do(func() {
		client, handler := &exchangetest.Client{}, &handler{}
		x := client.Exchange(request, "")
		x.Source = handler
		r := *x.Req
		r.Peer = &exchange.Peer{Addr: "192.0.2.1", Port: "80"}
		parts[0].First = true
		parts[0].Head = exchange.Head{Status: 200, Length: 1, Fields: []byte("X-A: 1\r\nContent-Type: a/b\r\n")}
		for i := range parts {
			p := &parts[i]
			p.Owner = handler
			if i == 0 && h.s.Subscribe(x, p, &r, []byte("news")) == exchange.Taken {
				break
			}
			x.Sink.Send(p)
		}
		done(x, client, handler)
	})
}

const get = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"

func sent(c *exchangetest.Client) string {
	var all []string
	for _, p := range c.Parts {
		text := fmt.Sprintf("%q", p.Body)
		switch {
		case p.Takeover != nil:
			text += " upgrade"
		case p.End == exchange.Incomplete:
			text += " failed"
		case p.Last():
			text += " last"
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

func TestPartsOfAHandlerBeginAStream(t *testing.T) {
	const retry = `"retry: 3000\n\n"`
	for _, c := range []struct {
		name, request string
		parts         []exchange.Part
		want          string
	}{
		{"nothing", get, []exchange.Part{{End: exchange.Complete}}, retry + `, "", "" upgrade`},
		{"an event", get, []exchange.Part{{End: exchange.Complete, Body: []byte("data: 1\n\n")}},
			retry + `, "data: 1\n\n", "" upgrade`},
		{"no event", get, []exchange.Part{{End: exchange.Complete, Body: []byte("{}")}}, retry + `, "{}", "\n\n" upgrade`},
		{"pieces", get, []exchange.Part{{Body: []byte("{}")}, {Body: []byte("x\n\n")}, {End: exchange.Complete}},
			retry + `, "{}", "x\n\n", "", "" upgrade`},
		{"failed", get, []exchange.Part{{Body: []byte("{}")}, {End: exchange.Incomplete}}, retry + `, "{}", "" failed`},
		{"HEAD", strings.Replace(get, "GET", "HEAD", 1), []exchange.Part{{End: exchange.Complete}}, retry + `, "" last`},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := serve(t, StreamConfig{})
			h.answer(c.request, func(_ *exchange.Exchange, client *exchangetest.Client, handler *handler) {
				checktest.Equal(t, sent(client), c.want)
				checktest.Equalf(t, string(client.Parts[0].Head.Fields), "Content-Type: text/event-stream\r\n"+
					"X-A: 1\r\nCache-Control: no-store\r\nX-Accel-Buffering: no\r\n", "fields")
				checktest.Truef(t, len(handler.released) == len(c.parts) && strings.HasSuffix(handler.released[len(c.parts)-1],
					" true"), "the handler got back %q", handler.released)
				// this client releases the last part without calling Takeover, so it must not become a subscriber
				checktest.Truef(t, handler.gone == 0 && h.s.joined == 0 && len(h.s.addresses) == 0,
					"told %d times, %d subscribers", handler.gone, h.s.joined)
			}, c.parts...)
		})
	}
}

// The client disconnects before the handler has ended, and the handler is notified.
func TestClientThatDisconnectsEarlyIsNoSubscriber(t *testing.T) {
	h := serve(t, StreamConfig{})
	h.answer(get, func(x *exchange.Exchange, client *exchangetest.Client, handler *handler) {
		x.Source.Input(x, exchange.Input{})
		checktest.Equalf(t, h.s.joined, 1, "subscribers")
		x.Source.OnGone(x)
		checktest.Truef(t, handler.inputs == 1 && handler.gone == 1 && h.s.joined == 0,
			"%d inputs, told %d times, %d subscribers", handler.inputs, handler.gone, h.s.joined)
		x.Sink.Send(&exchange.Part{End: exchange.Complete, Owner: handler})
	}, exchange.Part{Body: []byte("data: 1\n\n")})
}
