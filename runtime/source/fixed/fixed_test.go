package fixed

import (
	"testing"

	"fapws/runtime/exchange"
	"fapws/runtime/exchange/exchangetest"
	"fapws/runtime/filter/header"
)

func TestNew(t *testing.T) {
	for _, o := range []Options{{Status: 100}, {Status: 600}, {Type: "a\r\nb"}, {Fields: []header.Field{{Name: "Content-Length", Value: "1"}}}} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v is no error", o)
		}
	}
	for _, test := range []struct {
		o     Options
		whole bool // no page of the site takes its place
	}{
		{Options{}, true},
		{Options{Status: 404}, false},
		{Options{Status: 404, Body: "gone"}, true},
	} {
		f, err := New(test.o)
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
