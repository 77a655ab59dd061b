package exchange_test

import (
	"io"
	"testing"

	"fapws/runtime/checktest"
	"fapws/runtime/exchange"
	"fapws/runtime/exchange/exchangetest"
)

type holding struct{ exchangetest.Host }

func (h *holding) Start(x *exchange.Exchange) { h.Held = append(h.Held, x) }

// The configuration has changed, but the error page is still a file of the previous sites.
func TestSitesStayUntilTheResponseThatTakesOverIsSent(t *testing.T) {
	h := new(holding)
	pages := 0
	h.Pages = func(x *exchange.Exchange, r exchange.Reply) {
		pages++
		checktest.Truef(t, h.HasFormer(), "the former sites end with the request")
		x.SendReply(&r)
	}
	h.Run(t, h, exchange.Config{})
	client := h.Connect(t, "GET / HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n")
	h.Stream(t)
	h.Do(func() {
		h.Held[0].FailWith(exchange.Reply{Status: 503}, nil)
		checktest.Truef(t, !h.HasFormer() && pages == 1,
			"%d pages; former sites after the response: %v", pages, h.HasFormer())
	})
	_, err := io.ReadAll(client)
	checktest.Equal(t, err, nil)
}
