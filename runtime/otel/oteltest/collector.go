package oteltest

import (
	"compress/gzip"
	"encoding/binary"
	"encoding/hex"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"fapws/runtime/checktest"
)

// Span is a received span.
type Span struct {
	Trace, ID, Parent, Name string
	Kind                    string // SERVER, CLIENT or a number
	Failed                  bool   // the status is Error
	Why                     string // message of the status
	Flags                   uint32
	Begin, End              time.Time
	Attributes, Resource    map[string]string
}

// A Collector receives spans. The zero value of Answer accepts them.
type Collector struct {
	*httptest.Server
	t *testing.T

	// If Answer sends its own response to a request, it returns true, and the collector ignores the spans. n is the
	// number of earlier requests.
	Answer func(w http.ResponseWriter, r *http.Request, n int) bool

	mu       sync.Mutex
	requests int
	spans    []Span
	bodies   [][]byte
	headers  []http.Header
}

// Collect starts a collector.
func Collect(t *testing.T, answer func(w http.ResponseWriter, r *http.Request, n int) bool) *Collector {
	t.Helper()
	c := &Collector{t: t, Answer: answer}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body []byte
	in, err := io.Reader(r.Body), error(nil)
	if r.Header.Get("Content-Encoding") == "gzip" {
		in, err = gzip.NewReader(r.Body)
	}
	if err == nil {
		body, err = io.ReadAll(in)
	}
	c.mu.Lock()
	n := c.requests
	c.requests++
	c.mu.Unlock()
	switch {
	case c.Answer != nil && c.Answer(w, r, n):
		return
	case err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/x-protobuf":
		c.t.Errorf("%s %s with %q: %v", r.Method, r.URL, r.Header, err)
	}
	spans := c.decode(body)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spans, c.bodies, c.headers = append(c.spans, spans...), append(c.bodies, body), append(c.headers, r.Header)
}

// Requests returns the number of requests, including those that Answer has answered.
func (c *Collector) Requests() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.requests
}

// Spans returns the received spans.
func (c *Collector) Spans() []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Span(nil), c.spans...)
}

// Bodies returns the accepted messages with the header of each.
func (c *Collector) Bodies() ([][]byte, []http.Header) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([][]byte(nil), c.bodies...), append([]http.Header(nil), c.headers...)
}

// Await waits until n spans match, and returns them.
func (c *Collector) Await(n int, subject string, match func(*Span) bool) (found []Span) {
	c.t.Helper()
	checktest.Eventually(c.t, strconv.Itoa(n)+" spans of "+subject, func() bool {
		found = nil
		for _, s := range c.Spans() {
			if match(&s) {
				found = append(found, s)
			}
		}
		return len(found) >= n
	})
	checktest.Truef(c.t, len(found) <= n, "%d spans of %s, not %d: %+v", len(found), subject, n, found)
	return found
}

// Path waits for the SERVER span of a request with this path.
func (c *Collector) Path(path string) Span {
	c.t.Helper()
	return c.Await(1, path, func(s *Span) bool { return s.Kind == "SERVER" && s.Attributes["url.path"] == path })[0]
}

type field struct {
	number, wire int
	n            uint64
	bytes        []byte
}

// fields parses a message of protobuf.
func (c *Collector) fields(b []byte) (list []field) {
	for len(b) > 0 {
		tag, n := binary.Uvarint(b)
		f := field{number: int(tag >> 3), wire: int(tag & 7)}
		if b = b[max(n, 0):]; n > 0 {
			switch f.wire {
			case 0:
				f.n, n = binary.Uvarint(b)
			case 1:
				n = 8
				f.n = binary.LittleEndian.Uint64(b)
			case 2:
				f.n, n = binary.Uvarint(b)
				if n > 0 && f.n <= uint64(len(b)-n) {
					f.bytes = b[n : n+int(f.n)]
					n += int(f.n)
				} else {
					n = 0
				}
			case 5:
				n = 4
				f.n = uint64(binary.LittleEndian.Uint32(b))
			}
		}
		if n <= 0 || f.number == 0 {
			c.t.Errorf("invalid protobuf: %q", b)
			return nil
		}
		list, b = append(list, f), b[n:]
	}
	return list
}

func (c *Collector) text(f field) string {
	checktest.Truef(c.t, utf8.Valid(f.bytes), "%q is not UTF-8", f.bytes)
	return string(f.bytes)
}

// attribute decodes a KeyValue.
func (c *Collector) attribute(to map[string]string, f field) {
	key, value := "", "of another type"
	for _, f := range c.fields(f.bytes) {
		if f.number == 1 {
			key = c.text(f)
			continue
		}
		for _, f := range c.fields(f.bytes) {
			switch f.number {
			case 1:
				value = c.text(f)
			case 3:
				value = strconv.FormatUint(f.n, 10)
			}
		}
	}
	_, twice := to[key]
	checktest.Truef(c.t, !twice && key != "" && value != "", "attribute %q is %q, and was %q", key, value, to[key])
	to[key] = value
}

// decode decodes an ExportTraceServiceRequest.
func (c *Collector) decode(body []byte) (spans []Span) {
	for _, whole := range c.fields(body) {
		resource := map[string]string{}
		for _, part := range c.fields(whole.bytes) {
			for _, f := range c.fields(part.bytes) {
				switch {
				case part.number == 1 && f.number == 1:
					c.attribute(resource, f)
				case part.number == 2 && f.number == 2:
					s := c.span(f)
					s.Resource = resource
					spans = append(spans, s)
				}
			}
		}
	}
	return spans
}

func (c *Collector) span(whole field) Span {
	s := Span{Attributes: map[string]string{}}
	at := func(n uint64) time.Time { return time.Unix(0, int64(min(n, math.MaxInt64))) }
	for _, f := range c.fields(whole.bytes) {
		switch f.number {
		case 1:
			s.Trace = hex.EncodeToString(f.bytes)
		case 2:
			s.ID = hex.EncodeToString(f.bytes)
		case 4:
			s.Parent = hex.EncodeToString(f.bytes)
		case 5:
			s.Name = c.text(f)
		case 6:
			s.Kind = strings.Fields("0 INTERNAL SERVER CLIENT")[min(f.n, 3)]
		case 7:
			s.Begin = at(f.n)
		case 8:
			s.End = at(f.n)
		case 9:
			c.attribute(s.Attributes, f)
		case 15:
			for _, f := range c.fields(f.bytes) {
				switch f.number {
				case 2:
					s.Why = c.text(f)
				case 3:
					s.Failed = f.n == 2
				}
			}
		case 16:
			s.Flags = uint32(f.n)
		}
	}
	checktest.Truef(c.t, len(s.Trace) == 32 && len(s.ID) == 16 && !s.End.Before(s.Begin), "%+v", s)
	return s
}
