package exchange_test

import (
	"io"
	"testing"

	"fapws/runtime/exchange"
	"fapws/runtime/exchange/exchangetest"
)

type holding struct{ exchangetest.Host }

func (h *holding) Start(x *exchange.Exchange) { h.Held = append(h.Held, x) }

// The error page of the request is among the files of its sites.
func TestSitesStayUntilTheResponseThatTakesOverIsSent(t *testing.T) {
	h := new(holding)
	h.Run(t, h, exchange.Config{})
	fd, client := exchangetest.Sockets(t)
	if _, err := io.WriteString(client, "GET / HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	h.Do(func() {
		c := h.NewClient(fd)
		if err := c.Open(c.Speaks()); err != nil {
			t.Error(err)
		}
	})
	h.Stream(t)
	h.Do(func() {
		y := h.Held[0].TakeOver()
		h.Held[0].Abandon()
		if !h.HasFormer() {
			t.Error("the former sites end with the request")
		}
		y.Reply(exchange.Reply{Status: 503})
		if h.HasFormer() {
			t.Error("the former sites stay after the response")
		}
	})
	if _, err := io.ReadAll(client); err != nil {
		t.Error(err)
	}
}
