package http1

import (
	"bytes"
	"fmt"
	"testing"

	"fapws/runtime/checktest"
)

func parseBytewise(r *Request, buf []byte, lim *Limits) (n int, err error) {
	return parseInSteps(r, buf, lim, []byte{1})
}

func parseInSteps(r *Request, buf []byte, lim *Limits, steps []byte) (n int, err error) {
	for end, i := 0, 0; ; i++ {
		if len(steps) > 0 {
			end += max(1, int(steps[i%len(steps)]))
		}
		if end > len(buf) || len(steps) == 0 {
			end = len(buf)
		}
		n, err = r.Parse(buf[:end:end], lim)
		if err != ErrNeedMore || end == len(buf) {
			return n, err
		}
	}
}

// Parse does not examine complete lines again, and does not search the same byte twice for a line end. Therefore a head
// that arrives byte by byte costs O(n).
func TestParseExaminesEachByteOnce(t *testing.T) {
	head := largeHead(DefaultLimits.Head / 8)
	var r Request
	for n := 1; n < len(head); n++ {
		// Make the examined lines invalid and insert a line end, so that Parse fails if it examines these bytes again.
		before := bytes.Clone(head[:n])
		for i := 1; i < int(r.Resume.line); i++ {
			before[i] = 0
		}
		if head[n-1] != '\n' {
			for i := max(1, int(r.Resume.line)); i < int(r.Resume.seen); i++ {
				before[i] = '\n'
			}
		}
		_, err := r.Parse(before, &DefaultLimits)
		checktest.Needf(t, err == ErrNeedMore, "after %d bytes: %v", n, err)
		checktest.Needf(t, int(r.Resume.seen) == n, "after %d bytes the next call would look again from %d", n, r.Resume.seen)
		if want := bytes.LastIndexByte(head[:n], '\n') + 1; int(r.Resume.line) != want {
			t.Fatalf("after %d bytes the next call would judge lines from %d, want %d", n, r.Resume.line, want)
		}
	}
}

// The error names the limit that a head exceeds first, even if it exceeds two limits at nearly the same byte.
func TestExceededLimitDoesNotDependOnSplits(t *testing.T) {
	in := []byte(on11("GET /", "X: 0123456789\r\n"))
	for field := 1; field < 20; field++ {
		for head := 14; head <= len(in); head++ {
			for line := 13; line < 18; line++ {
				lim := limits(line, field, head, 0)
				var whole, parts Request
				_, want := whole.Parse(in, &lim)
				_, got := parseBytewise(&parts, in, &lim)
				checktest.Needf(t, got == want, "%+v: %v byte by byte, %v whole", lim, got, want)
			}
		}
	}
}

// The test saves Resume for each connection, as the event loop does.
func TestConnectionsCanShareARequest(t *testing.T) {
	a, b := []byte(browserRequest), []byte(postRequest)
	var r Request
	var ra, rb Resume
	for n := 1; n < len(b); n++ {
		r.Resume = ra
		_, err := r.Parse(a[:n], &DefaultLimits)
		checktest.Needf(t, err == ErrNeedMore, "%v", err)
		ra, r.Resume = r.Resume, rb
		_, err = r.Parse(b[:n], &DefaultLimits)
		checktest.Needf(t, err == ErrNeedMore, "%v", err)
		rb = r.Resume
	}
	for _, c := range []struct {
		buf    []byte
		resume Resume
	}{{a, ra}, {b, rb}} {
		var want Request
		want.Parse(c.buf, &DefaultLimits)
		r.Resume = c.resume
		n, err := r.Parse(c.buf, &DefaultLimits)
		checktest.Needf(t, n == len(c.buf) && err == nil, "%d, %v", n, err)
		checktest.Equal(t, r, want)
	}
}

// largeHead returns a valid head of exactly size bytes; size must be at least 64.
func largeHead(size int) []byte {
	head := []byte("GET / HTTP/1.1\r\nHost: a\r\n")
	for left := size - len(head) - 2; left > 0; left = size - len(head) - 2 {
		line := min(left, 4096)
		if rest := left - line; rest > 0 && rest < 16 {
			line -= 16
		}
		head = append(head, "X: "...)
		head = append(head, bytes.Repeat([]byte{'v'}, line-5)...)
		head = append(head, "\r\n"...)
	}
	return append(head, "\r\n"...)
}

func outcome(r *Request, n int, err error) string {
	if err != nil {
		return fmt.Sprint(n, " ", err)
	}
	return fmt.Sprintf("%d %+v", n, *r)
}

func FuzzParseSplit(f *testing.F) {
	for _, in := range seeds() {
		f.Add([]byte(in), []byte{1}, uint8(0))
		f.Add([]byte(in), []byte{3, 17, 1}, uint8(7))
	}
	f.Fuzz(func(t *testing.T, in, steps []byte, small uint8) {
		// The limits are small, so that the input probably exceeds a limit.
		lim := DefaultLimits
		if small != 0 {
			lim = Limits{RequestLine: 10 + int(small), FieldLine: 5 + int(small)/2, Head: 20 + 2*int(small),
				Fields: 1 + int(small)%8}
		}
		var whole, parts Request
		n, err := whole.Parse(in, &lim)
		want := outcome(&whole, n, err)
		m, err2 := parseInSteps(&parts, in, &lim, steps)
		if err == ErrNeedMore && err2 == ErrNeedMore {
			return
		}
		checktest.Equalf(t, outcome(&parts, m, err2), want, "%q in steps of %v", in, steps)
	})
}

func seeds() []string {
	return []string{
		helloRequest, wrkRequest, browserRequest, postRequest + "{}",
		"\r\n\r\nGET / HTTP/1.0\r\n\r\nGET",
		on11("OPTIONS *", "X: y\r\n"),
		on11("HEAD http://[::1]:80?q", "Connection: close\r\n"),
		on11("POST /%41?b#c", "Content-Length: 5, 5\r\nContent-Length: 5\r\n") + "hello",
		on11("PUT /", "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n") + "5\r\nhello\r\n0\r\n\r\n",
		on11("GET /", "X : y\r\n"), on11("GET /", "X: a\r\n b\r\n"), "GET / HTTP/2.0\r\n", "GET /\r\n", "\x16\x03\x01",
	}
}
