// Package http1 reads and writes HTTP/1.0 and HTTP/1.1 messages (RFC 9112)
// over byte slices. It does no I/O, starts no goroutine and imports only std.
package http1

// Span is a range of bytes in a head buffer: buf[Off : Off+Len].
// Offsets cross the language boundary as they are, hence the fixed width.
type Span struct {
	Off, Len uint32
}

// In returns the bytes that s covers in buf.
func (s Span) In(buf []byte) []byte { return buf[s.Off : s.Off+s.Len : s.Off+s.Len] }

// Field is one header field: its name as received and its value without
// surrounding whitespace.
type Field struct {
	Name, Value Span
}

// Framing says how the body of a request is delimited (RFC 9112 §6.3).
type Framing uint8

// The framings a request can have.
const (
	NoBody  Framing = iota
	Sized           // Content-Length, in Request.Length (may be 0)
	Chunked         // Transfer-Encoding: chunked
)

// Request is a parsed request head. Its spans are offsets into the buffer
// that was given to Parse; the zero value is ready for use and a value can be
// reused for the next request (Fields keeps its capacity).
type Request struct {
	Method    Span
	Target    Span // the request-target as received
	Path      Span // raw path of Target: "/a%20b"; "*" for OPTIONS *; "/" if absolute-form has none
	Query     Span // raw query of Target, without "?"
	Authority Span // authority of an absolute-form target, else empty (then Host applies)
	Host      Span // value of the Host field; empty if there is none (HTTP/1.0)
	Fields    []Field
	HeadLen   int   // length of the head with its empty line, without leading CRLFs consumed (see Parse)
	Length    int64 // Content-Length when Body == Sized, else 0
	Body      Framing
	Minor     uint8 // HTTP/1.Minor, 0 or 1
	KeepAlive bool  // what the client asked for: version and Connection field
	Expect100 bool  // Expect: 100-continue on HTTP/1.1 with a body
	Head      bool  // method is HEAD
	Safe      bool  // method is GET, HEAD, OPTIONS or TRACE (RFC 9110 §9.2.1)
	Encoded   bool  // Path contains "%"
}
