package exchange_test

import (
	"io"
	"strings"
	"testing"

	"fapws/runtime/checktest"
	"fapws/runtime/exchange"
	"fapws/runtime/exchange/exchangetest"
)

type answering struct{ exchangetest.Host }

func (h *answering) Start(x *exchange.Exchange) { exchangetest.Answer(x, "text") }

// A mark is a filter that adds its letter before and after each body.
type mark struct {
	letter string
	next   exchange.Sink
}

func (m *mark) Send(p *exchange.Part) {
	own := *p
	own.Body = []byte(m.letter + string(p.Body) + m.letter)
	m.next.Send(&own)
}

func (m *mark) Reply(r exchange.Reply) { m.next.Reply(r) }

func TestFirstFilterIsNextToTheClient(t *testing.T) {
	h := new(answering)
	filter := func(letter string) exchange.Filter {
		return func(x *exchange.Exchange, next exchange.Sink) exchange.Sink {
			if strings.HasSuffix(exchangetest.Path(x.Req), "plain") {
				return next
			}
			return &mark{letter, next}
		}
	}
	h.Filters = []exchange.Filter{filter("a"), filter("b")}
	h.Run(t, h, exchange.Config{})
	client := h.Connect(t, "GET /plain HTTP/1.1\r\nHost:\r\n\r\n"+
		"GET / HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n")
	got, err := io.ReadAll(client)
	parts := strings.Split(string(got), "\r\n\r\n")
	checktest.Truef(t, err == nil && len(parts) == 3 && strings.HasPrefix(parts[1], "text") && parts[2] == "abtextba",
		"%v; %q", err, got)
}
