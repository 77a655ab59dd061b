package http_test

import (
	"fmt"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestBodyAboveMaxBodySizeIsRejectedBeforeTheHandlerRuns(t *testing.T) {
	t.Parallel()
	const most = 10_485_760
	s := fapwstest.Serve(t, fapwstest.Threads, "entered.py")
	s.Ask(fapwstest.Request("POST", "/", strings.Repeat("b", most))).Is(t, "10485760 bytes")
	fapwstest.TooBig(t, s, fmt.Sprintf("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n", most+1), "")
	s = fapwstest.Serve(t, fapwstest.Threads, "entered.py", "--max-body-size", "1K")
	body := strings.Repeat("b", 1024)
	s.Ask(fapwstest.Request("POST", "/", body)).Is(t, "1024 bytes")
	s.Ask(fapwstest.Chunked("POST", "/", body, 100)).Is(t, "1024 bytes")
	fapwstest.TooBig(t, s, fapwstest.Request("POST", "/", body+"b"), "")
	fapwstest.TooBig(t, s, fapwstest.Chunked("POST", "/", body+"b", 100), "")
	fapwstest.TooBig(t, s, fapwstest.Chunked("POST", "/", body+"b", 10_000), "")
	fapwstest.TooBig(t, s, "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 99999999999999999\r\n\r\n", "")
	s.Get("/count", 200).Is(t, "2")
}

func TestObjectsThatAHandlerKeepsAreHarmlessAfterTheRequest(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "kept.py")
		for _, size := range []int{10, 1000, 400_000} {
			s.Ask(fapwstest.Request("POST", "/keep", strings.Repeat("b", size))).Is(t, "kept")
			s.Ask(fapwstest.Request("POST", "/use", strings.Repeat("c", size))).Is(t,
				"b'' StopIteration AssertionError None RuntimeError ''")
		}
	})
}
