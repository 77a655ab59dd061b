package exchange_test

import (
	"io"
	"strings"
	"testing"
	"time"

	"fapws/runtime/checktest"
	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
)

func TestMalformedRequestIsLoggedWithItsTimeAndItsNumber(t *testing.T) {
	h := new(answering)
	began := time.Now()
	var lines []string
	h.Run(t, h, exchange.Config{Answered: []func(*logfile.Entry){func(e *logfile.Entry) {
		lines = append(lines, string(e.RequestLine))
		checktest.Truef(t, !e.Time.Before(began) && e.Duration >= 0 && e.Duration <= time.Since(began) &&
			e.Earlier == len(lines)-1, "%s at %v, %v, after %d requests", e.RequestLine, e.Time, e.Duration, e.Earlier)
	}}})
	client := h.Connect(t, "GET / HTTP/1.1\r\nHost:\r\n\r\nnonsense\r\n\r\n")
	_, err := io.ReadAll(client)
	checktest.Equal(t, err, nil)
	h.Do(func() {
		checktest.Equal(t, strings.Join(lines, ", "), "GET / HTTP/1.1, nonsense")
	})
}
