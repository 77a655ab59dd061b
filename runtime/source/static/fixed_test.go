package static

import (
	"testing"

	"fapws/runtime/exchange"
	"fapws/runtime/exchange/exchangetest"
)

func TestFixedNew(t *testing.T) {
	for _, o := range []FixedOptions{{Status: 100}, {Status: 600}, {Type: "a\r\nb"}, {Fields: []exchange.Field{{Name: "Content-Length", Value: "1"}}}} {
		if _, err := NewFixed(o); err == nil {
			t.Errorf("%+v is no error", o)
		}
	}
	for _, test := range []struct {
		o     FixedOptions
		whole bool // no page of the site takes its place
	}{
		{FixedOptions{}, true},
		{FixedOptions{Status: 404}, false},
		{FixedOptions{Status: 404, Body: "gone"}, true},
	} {
		f, err := NewFixed(test.o)
		if err != nil {
			t.Fatal(err)
		}
		var c exchangetest.Client
		f.Start(&exchange.Exchange{Sink: &c})
		if r := c.Replies[0]; r.Whole != test.whole || string(r.Body) != test.o.Body || r.Type != "text/plain; charset=utf-8" {
			t.Errorf("%+v: %+v", test.o, r)
		}
	}
}
