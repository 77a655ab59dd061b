package exchange_test

import (
	"io"
	"strings"
	"testing"
	"time"

	"fapws/runtime/exchange"
	"fapws/runtime/exchange/exchangetest"
	"fapws/runtime/logfile"
)

func TestMalformedRequestIsLoggedWithItsTimeAndItsNumber(t *testing.T) {
	h := new(answering)
	began := time.Now()
	var lines []string
	h.Run(t, h, exchange.Config{Answered: []func(*logfile.Entry){func(e *logfile.Entry) {
		lines = append(lines, string(e.RequestLine))
		if e.Time.Before(began) || e.Duration < 0 || e.Duration > time.Since(began) || e.Earlier != len(lines)-1 {
			t.Errorf("%s at %v, %v, after %d requests", e.RequestLine, e.Time, e.Duration, e.Earlier)
		}
	}}})
	fd, client := exchangetest.Sockets(t)
	if _, err := io.WriteString(client, "GET / HTTP/1.1\r\nHost:\r\n\r\nnonsense\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	h.Do(func() {
		c := h.NewClient(fd)
		if err := c.Open(c.Speaks()); err != nil {
			t.Error(err)
		}
	})
	if _, err := io.ReadAll(client); err != nil {
		t.Error(err)
	}
	h.Do(func() {
		if got := strings.Join(lines, ", "); got != "GET / HTTP/1.1, nonsense" {
			t.Error(got)
		}
	})
}
