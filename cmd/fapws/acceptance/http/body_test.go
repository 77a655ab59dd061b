package http_test

import (
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// digest is the answer of input.py to a body.
func digest(body string) string {
	return fmt.Sprintf("%d %x", len(body), sha256.Sum256([]byte(body)))
}

// Bodies in memory and in the temporary file, by length and in chunks, give the
// same bytes to every way of reading.
func TestInput(t *testing.T) {
	text := func(n int) string { // with lines of all lengths, one of them long
		var b strings.Builder
		for i := 0; b.Len() < n; i++ {
			b.WriteString(strings.Repeat("x\xff", i%97) + "\n")
		}
		return b.String()[:n/2] + strings.Repeat("y", n/4) + b.String()[:n-n/2-n/4]
	}
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "input.py")
		for _, size := range []int{0, 1, 17, 60_000, 256 << 10, 256<<10 + 1, 700_000} {
			body := text(size)
			for _, way := range []string{"/read", "/blocks", "/lines", "/readlines", "/readline", "/mixed"} {
				if size > 300_000 && way == "/readline" {
					continue // 100,000 calls show nothing new
				}
				s.Ask(fapwstest.Request("POST", way, body)).Is(t, digest(body))
			}
			s.Ask(fapwstest.Chunked("PUT", "/read", body, 50_001)).Is(t, digest(body))
			s.Ask(fapwstest.Chunked("PATCH", "/lines", body, 8191)).Is(t, digest(body))
			s.Ask(fapwstest.Chunked("POST", "/length", body, 1<<20)).Is(t, strconv.Itoa(size))
		}
		body := text(9_000_000)
		s.Ask(fapwstest.Request("POST", "/read", body)).Is(t, digest(body))
		s.Ask(fapwstest.Chunked("POST", "/lines", body, 100_000)).Is(t, digest(body))
		w := s.Dial() // an unread body is not taken for the next request
		w.Send(fapwstest.Request("POST", "/ignored", "GET /read HTTP/1.1\r\n\r\n"), fapwstest.Request("POST", "/ignored", text(300_000)), fapwstest.Get("/length"))
		w.Answer().Is(t, "not read")
		w.Answer().Is(t, "not read")
		w.Answer().Want(t, 200)
	})
}

func TestMaxBodySize(t *testing.T) {
	t.Parallel()
	const most = 10_485_760
	t.Run("default", func(t *testing.T) {
		s := fapwstest.Serve(t, fapwstest.Threads, "entered.py")
		body := strings.Repeat("b", most)
		s.Ask(fapwstest.Request("POST", "/", body)).Is(t, "10485760 bytes")
		s.Ask(fapwstest.Chunked("POST", "/", body, 1<<20)).Is(t, "10485760 bytes")
		fapwstest.TooBig(t, s, fmt.Sprintf("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n", most+1), "")
		fapwstest.TooBig(t, s, strings.TrimSuffix(fapwstest.Chunked("POST", "/", body, 1<<20), "0\r\n\r\n"), "1\r\nb\r\n0\r\n\r\n")
		s.Get("/count", 200).Is(t, "2")
	})
	t.Run("flag", func(t *testing.T) {
		s := fapwstest.Serve(t, fapwstest.Threads, "entered.py", "--max-body-size", "1K")
		body := strings.Repeat("b", 1024)
		s.Ask(fapwstest.Request("POST", "/", body)).Is(t, "1024 bytes")
		s.Ask(fapwstest.Chunked("POST", "/", body, 100)).Is(t, "1024 bytes")
		fapwstest.TooBig(t, s, fapwstest.Request("POST", "/", body+"b"), "")
		fapwstest.TooBig(t, s, fapwstest.Chunked("POST", "/", body+"b", 100), "")
		fapwstest.TooBig(t, s, fapwstest.Chunked("POST", "/", body+"b", 10_000), "")
		fapwstest.TooBig(t, s, "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 99999999999999999\r\n\r\n", "")
		s.Get("/count", 200).Is(t, "2")
	})
}

// Objects of a request that a handler keeps are harmless when the request is over.
func TestKeptAfterTheRequest(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "kept.py")
		for _, size := range []int{10, 1000, 400_000} {
			s.Ask(fapwstest.Request("POST", "/keep", strings.Repeat("b", size))).Is(t, "kept")
			s.Ask(fapwstest.Request("POST", "/use", strings.Repeat("c", size))).Is(t, "b'' StopIteration AssertionError None RuntimeError ''")
		}
	})
}
