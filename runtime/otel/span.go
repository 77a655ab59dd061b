package otel

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"fapws/runtime/http1"
	"fapws/runtime/logfile"
)

// A message is an encoded message of protobuf (https://protobuf.dev/programming-guides/encoding/). The numbers of
// fields are those of opentelemetry/proto/trace/v1/trace.proto and its imports.
type message []byte

// Wire types of protobuf.
const wireVarint, wire64, wireBytes, wire32 = 0, 1, 2, 5

func (m message) tag(field, wire int) message { return binary.AppendUvarint(m, uint64(field<<3|wire)) }

func (m message) number(field int, n uint64) message {
	return binary.AppendUvarint(m.tag(field, wireVarint), n)
}

func (m message) time(field int, t time.Time) message {
	return binary.LittleEndian.AppendUint64(m.tag(field, wire64), uint64(t.UnixNano()))
}

// head appends the beginning of a field. The caller must append the n bytes of the field's value.
func (m message) head(field, n int) message {
	return binary.AppendUvarint(m.tag(field, wireBytes), uint64(n))
}

func put[T ~string | ~[]byte](m message, field int, value T) message {
	return append(m.head(field, len(value)), value...)
}

// sized returns the size of an encoded field with a value of n bytes. The number of the field must be less than 16.
func sized(n int) int {
	size := 2 + n
	for ; n >= 0x80; n >>= 7 {
		size++
	}
	return size
}

// text appends an attribute with a string (KeyValue) to m, a Span or a Resource, unless the value is empty. field is
// the number of the field for attributes.
func text[T ~string | ~[]byte](m message, field int, key string, value T) message {
	if len(value) == 0 {
		return m
	}
	inner := sized(len(value))
	m = m.head(field, sized(len(key))+sized(inner))
	return put(put(m, 1, key).head(2, inner), 1, value)
}

// integer appends an attribute with a number.
func (m message) integer(field int, key string, n uint64) message {
	inner := 1 + len(binary.AppendUvarint(make([]byte, 0, binary.MaxVarintLen64), n))
	m = m.head(field, sized(len(key))+sized(inner))
	return put(m, 1, key).head(2, inner).number(3, n)
}

// Fields of Span, and values of its enumerations.
const (
	spanName       = 5
	spanAttributes = 9
	spanStatus     = 15
	spanFlags      = 16

	server, client = 2, 3

	statusError = 2

	parentIsKnown, parentIsRemote = 0x100, 0x200
)

// mostText limits texts of clients in bytes.
const mostText = 2 << 10

// clean shortens a text of a client to mostText bytes, and makes it valid UTF-8.
func clean(text []byte) []byte {
	text = text[:min(len(text), mostText)]
	if !utf8.Valid(text) {
		text = bytes.ToValidUTF8(text, []byte("\uFFFD"))
	}
	return text
}

// known lists the methods that the attribute http.request.method may contain.
var known = []string{"GET", "POST", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE", "QUERY"}

// span encodes the fields that all spans have. route may be empty.
func span(m message, id *http1.Identity, kind int, remote uint32, begin, end time.Time, method []byte,
	route string) message {
	m = put(put(m, 1, id.Trace[:]), 2, id.Span[:])
	flags := uint32(id.Flags) | parentIsKnown
	if id.Parent != (http1.SpanID{}) {
		m = put(m, 4, id.Parent[:])
		flags |= remote
	}
	name, other := method, !slices.Contains(known, string(method))
	if other {
		name = []byte("HTTP")
	}
	if route == "" {
		m = put(m, spanName, name)
	} else {
		m = append(append(append(m.head(spanName, len(name)+1+len(route)), name...), ' '), route...)
	}
	m = m.number(6, uint64(kind)).time(7, begin).time(8, end)
	m = binary.LittleEndian.AppendUint32(m.tag(spanFlags, wire32), flags)
	if other {
		m = text(m, spanAttributes, "http.request.method", "_OTHER")
		return text(m, spanAttributes, "http.request.method_original", clean(method))
	}
	return text(m, spanAttributes, "http.request.method", method)
}

// failure adds the attribute error.type and an error status.
func (m message) failure(kind, reason string) message {
	m = text(m, spanAttributes, "error.type", kind)
	m = m.head(spanStatus, sized(len(reason))+2)
	return put(m, 2, reason).number(3, statusError)
}

// outcome adds the status of a response, which may be 0.
func (m message) outcome(status int) message {
	if status > 0 {
		m = m.integer(spanAttributes, "http.response.status_code", uint64(status))
	}
	if status >= 500 {
		m = m.failure(strconv.Itoa(status), "")
	}
	return m
}

// address adds an address with a port. "[::1]" becomes "::1".
func (m message) address(host []byte, port string) message {
	m = text(m, spanAttributes, "server.address", clean(bytes.Trim(host, "[]")))
	if n, err := strconv.ParseUint(port, 10, 16); err == nil {
		m = m.integer(spanAttributes, "server.port", n)
	}
	return m
}

// Answered encodes the span of a request of a client. Answered is a function for exchange.Config.
func (x *Exporter) Answered(e *logfile.Entry) {
	t := e.Trace
	if t == nil || !t.ID.Sampled() {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.isFull() {
		return
	}
	method, path, query, version := e.Parts()
	m := span(x.scratch[:0], &t.ID, server, parentIsRemote, e.Time, e.Time.Add(e.Duration), method, t.Route)
	m = text(m, spanAttributes, "http.route", t.Route)
	m = text(m, spanAttributes, "url.path", clean(path))
	if len(query) > 1 {
		x.text = redact(x.text[:0], query[1:])
		m = text(m, spanAttributes, "url.query", clean(x.text))
	}
	scheme, port := "http", "80"
	if e.Scheme == "https" {
		scheme, port = "https", "443"
	}
	m = text(m, spanAttributes, "url.scheme", scheme)
	switch i := bytes.LastIndexByte(t.Host, ':'); {
	case len(t.Host) == 0:
		m = m.address([]byte(e.LocalAddr), e.LocalPort)
	case i < 0 || bytes.IndexByte(t.Host[i:], ']') > 0:
		m = m.address(t.Host, port)
	default:
		m = m.address(t.Host[:i], string(t.Host[i+1:]))
	}
	m = text(m, spanAttributes, "client.address", e.Addr)
	version = bytes.TrimPrefix(version, []byte("HTTP/"))
	if string(version) == "2.0" {
		version = version[:1]
	}
	m = text(m, spanAttributes, "network.protocol.version", version)
	m = text(m, spanAttributes, "user_agent.original", clean(t.Agent))
	if e.Status == logfile.StatusGone {
		m = text(m, spanAttributes, "error.type", "client_disconnected")
	} else if m = m.outcome(e.Status); e.Aborted && e.Status < 500 {
		m = text(m, spanAttributes, "error.type", "aborted")
	}
	x.enqueue(m)
}

// secrets are the parameters of signed URLs that must not be sent to a collector, in lower case.
var secrets = []string{"awsaccesskeyid", "signature", "sig", "x-goog-signature", "x-amz-signature", "x-amz-credential",
	"x-amz-security-token"}

// redact appends query to dst, without the values of secrets.
func redact(dst, query []byte) []byte {
	for len(query) > 0 {
		end, after := bytes.IndexAny(query, "&;"), 0
		if after = end + 1; end < 0 {
			end, after = len(query), len(query)
		}
		key, _, has := bytes.Cut(query[:end], []byte("="))
		if has && isSecret(key) {
			dst = append(append(append(dst, key...), "=REDACTED"...), query[end:after]...)
		} else {
			dst = append(dst, query[:after]...)
		}
		query = query[after:]
	}
	return dst
}

func isSecret(key []byte) bool {
	if bytes.IndexByte(key, '%') >= 0 {
		key = http1.DecodePath(nil, key)
	}
	return slices.ContainsFunc(secrets, func(name string) bool { return http1.EqualFold(key, name) })
}

// A Call is the span of a request to an upstream. A nil Call means that the request has no span.
type Call struct {
	Method  string
	URL     string // the whole URL
	Address string // host of the upstream, or the path of its unix socket
	Port    string
	Resent  int // number of earlier requests to upstreams for the same request of the client

	exporter *Exporter
	id       http1.Identity
	began    time.Time
}

// Call begins the span of a request to an upstream. identity is the identity of the client's request. The result is nil
// if the trace is not recorded, or if x is nil. Call is safe for concurrent use, as are the methods of Call.
func (x *Exporter) Call(identity http1.Identity) *Call {
	if x == nil || !identity.Sampled() {
		return nil
	}
	c := &Call{exporter: x, id: identity, began: time.Now()}
	c.id.Parent = identity.Span
	binary.BigEndian.PutUint64(c.id.Span[:], rand.Uint64()|1) // 0 would be invalid
	return c
}

// Traceparent returns the value of the field traceparent for the request.
func (c *Call) Traceparent() string { return string(http1.AppendTraceparent(nil, &c.id)) }

// End ends the span with the status of the response or, if there is none, with an error. kind is the attribute
// error.type.
func (c *Call) End(status int, kind string, err error) {
	if c == nil {
		return
	}
	x := c.exporter
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.isFull() {
		return
	}
	m := span(x.scratch[:0], &c.id, client, 0, c.began, time.Now(), []byte(c.Method), "")
	address, query, has := strings.Cut(c.URL, "?")
	x.text = append(x.text[:0], address...)
	if has {
		x.text = redact(append(x.text, '?'), []byte(query))
	}
	m = text(m, spanAttributes, "url.full", clean(x.text))
	m = m.address([]byte(c.Address), c.Port).outcome(status)
	m = text(m, spanAttributes, "network.protocol.version", "1.1")
	if c.Resent > 0 {
		m = m.integer(spanAttributes, "http.request.resend_count", uint64(c.Resent))
	}
	if err != nil {
		m = m.failure(kind, string(clean([]byte(err.Error()))))
	}
	x.enqueue(m)
}
