package acceptance

import (
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// digest is what input.py says of a body.
func digest(body string) string {
	return fmt.Sprintf("%d %x", len(body), sha256.Sum256([]byte(body)))
}

// chunked returns the bytes of a request with body in chunks of a size.
func chunked(method, target, body string, size int, fields ...string) string {
	var b strings.Builder
	b.WriteString(strings.TrimSuffix(request(method, target, "", append(fields, "Transfer-Encoding: chunked")...), ""))
	for ; len(body) > size; body = body[size:] {
		fmt.Fprintf(&b, "%x\r\n%s\r\n", size, body[:size])
	}
	if body != "" {
		fmt.Fprintf(&b, "%X;name=\"a;b\"\r\n%s\r\n", len(body), body)
	}
	return b.String() + "0\r\n\r\n"
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
	inModes(t, func(t *testing.T, m mode) {
		s := serve(t, m, "input.py")
		for _, size := range []int{0, 1, 17, 60_000, 256 << 10, 256<<10 + 1, 700_000} {
			body := text(size)
			for _, way := range []string{"/read", "/blocks", "/lines", "/readlines", "/readline", "/mixed"} {
				if size > 300_000 && way == "/readline" {
					continue // 100,000 calls show nothing new
				}
				s.ask(request("POST", way, body)).is(t, digest(body))
			}
			s.ask(chunked("PUT", "/read", body, 50_001)).is(t, digest(body))
			s.ask(chunked("PATCH", "/lines", body, 8191)).is(t, digest(body))
			s.ask(chunked("POST", "/length", body, 1<<20)).is(t, strconv.Itoa(size))
		}
		body := text(9_000_000)
		s.ask(request("POST", "/read", body)).is(t, digest(body))
		s.ask(chunked("POST", "/lines", body, 100_000)).is(t, digest(body))
		w := s.dial() // a body that nobody reads is not taken for the next request
		w.send(request("POST", "/ignored", "GET /read HTTP/1.1\r\n\r\n"), request("POST", "/ignored", text(300_000)), get("/length"))
		w.answer().is(t, "not read")
		w.answer().is(t, "not read")
		w.answer().want(t, 200)
	})
}

func TestMaxBodySize(t *testing.T) {
	const most = 10_485_760
	inOneProcess(t, func(t *testing.T, m mode) {
		t.Run("default", func(t *testing.T) {
			s := serve(t, m, "entered.py")
			body := strings.Repeat("b", most)
			s.ask(request("POST", "/", body)).is(t, "10485760 bytes")
			s.ask(chunked("POST", "/", body, 1<<20)).is(t, "10485760 bytes")
			tooBig(t, s, fmt.Sprintf("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n", most+1), "")
			tooBig(t, s, strings.TrimSuffix(chunked("POST", "/", body, 1<<20), "0\r\n\r\n"), "1\r\nb\r\n0\r\n\r\n")
			s.get("/count", 200).is(t, "2")
		})
		t.Run("flag", func(t *testing.T) {
			s := serve(t, m, "entered.py", "--max-body-size", "1K")
			body := strings.Repeat("b", 1024)
			s.ask(request("POST", "/", body)).is(t, "1024 bytes")
			s.ask(chunked("POST", "/", body, 100)).is(t, "1024 bytes")
			tooBig(t, s, request("POST", "/", body+"b"), "")
			tooBig(t, s, chunked("POST", "/", body+"b", 100), "")
			tooBig(t, s, chunked("POST", "/", body+"b", 10_000), "")
			tooBig(t, s, "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 99999999999999999\r\n\r\n", "")
			s.get("/count", 200).is(t, "2")
		})
	})
}

// tooBig fails unless a request gets the answer of a body that is too big, and
// then the end of the connection.
func tooBig(t *testing.T, s *server, request, more string) {
	t.Helper()
	w := s.dial()
	w.send(request)
	w.send(more)
	a := w.answer().want(t, 413, "input body too big")
	if !a.Close {
		t.Errorf("no Connection: close with 413: %q", a.Header)
	}
	w.closed()
}

// What a handler keeps of a request is harmless when the request is over.
func TestKeptAfterTheRequest(t *testing.T) {
	inOneProcess(t, func(t *testing.T, m mode) {
		s := serve(t, m, "kept.py")
		for _, size := range []int{10, 1000, 400_000} {
			s.ask(request("POST", "/keep", strings.Repeat("b", size))).is(t, "kept")
			s.ask(request("POST", "/use", strings.Repeat("c", size))).is(t, "b'' StopIteration AssertionError None RuntimeError ''")
		}
	})
}
