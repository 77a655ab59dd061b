package http1

// Span is a range of bytes in a head buffer: buf[Off : Off+Len].
// Offsets cross the language boundary as they are, so their width is fixed.
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

// Framing says how the body of a message is delimited (RFC 9112 §6.3).
type Framing uint8

// The framings a message can have.
const (
	NoBody     Framing = iota
	Sized              // Content-Length, in Request.Length (may be 0)
	Chunked            // Transfer-Encoding: chunked
	UntilClose         // responses only: the end of the connection ends the body
)

// Version is a version of HTTP.
type Version uint8

// The versions. A request of HTTP/2 is parsed from a head of the form of HTTP/1 that its fields were put into: see ParseWhole.
const (
	HTTP10 Version = iota
	HTTP11
	HTTP2
)

// String returns the version as request lines have it.
func (v Version) String() string { return [...]string{"HTTP/1.0", "HTTP/1.1", "HTTP/2.0"}[v] }

// Request is a parsed request head. Its spans are offsets into the head
// itself, which begins with the first byte of the method: after a Parse that
// returned n, the head is buf[n-HeadLen : n]. The zero value is ready for use
// and a value can be reused for the next request (Fields keeps its capacity).
type Request struct {
	Method    Span
	Target    Span // the request-target as received
	Path      Span // raw path of Target: "/a%20b"; "*" for OPTIONS *; "/" if absolute-form has none
	Query     Span // raw query of Target, without "?"
	Authority Span // authority of an absolute-form target, else empty (then Host applies)
	Host      Span // value of the Host field; empty if there is none (HTTP/1.0)
	UpgradeTo Span // value of the first Upgrade field; empty if there is none
	Fields    []Field
	HeadLen   int   // length of the head with its empty line, without leading CRLFs consumed (see Parse)
	Length    int64 // Content-Length when Body == Sized, else 0
	Body      Framing
	Version   Version
	KeepAlive bool // as the client has asked: version and Connection field
	Upgrade   bool // Connection lists "upgrade" (RFC 9110 §7.8)
	Expect100 bool // Expect: 100-continue on HTTP/1.1 with a body
	Trailers  bool // the response may end with trailer fields: HTTP/2, or HTTP/1.1 with TE: trailers (RFC 9110 §6.5.1)
	Head      bool // method is HEAD
	Safe      bool // method is GET, HEAD, OPTIONS or TRACE (RFC 9110 §9.2.1)
	Forwarded bool // a field is one that IsForwarding is true for
	Plain     bool // Path is its own canonical form (see ResolvePath): it has no "%", no backslash, no "//" and no "/."

	// Resume is where Parse goes on after ErrNeedMore. A Request that serves
	// one connection needs no care; one that is shared by connections must be
	// given each connection's Resume before Parse and have it saved after.
	Resume Resume
}

// Resume remembers how far an incomplete head was examined, so that a head
// that arrives byte by byte costs O(n). The zero value is a new head.
type Resume struct {
	line   uint32 // start of the first line that has not ended
	seen   uint32 // bytes known to hold no line end beyond line
	fields uint32 // field lines before line
}

// Limits bounds a request head, in bytes unless noted. Zero means the default.
type Limits struct {
	RequestLine int // method, target and version without CRLF; 8192; beyond: 414
	FieldLine   int // name, colon and value of one field without CRLF; 8192; beyond: 431
	Head        int // the whole head with its empty line; 32768; beyond: 431
	Fields      int // number of fields; 100; beyond: 431
}

// Defaults of Limits.
const (
	DefaultRequestLine = 8 << 10
	DefaultFieldLine   = 8 << 10
	DefaultHead        = 32 << 10
	DefaultFields      = 100
)

// WithDefaults returns l with the default in place of every zero.
func (l Limits) WithDefaults() Limits {
	l.RequestLine = orDefault(l.RequestLine, DefaultRequestLine)
	l.FieldLine = orDefault(l.FieldLine, DefaultFieldLine)
	l.Head = orDefault(l.Head, DefaultHead)
	l.Fields = orDefault(l.Fields, DefaultFields)
	return l
}

// Plus returns l with room for more fields, of size bytes together, that the server has added to a head.
func (l Limits) Plus(fields, size int) Limits {
	l = l.WithDefaults()
	l.Fields, l.Head, l.FieldLine = l.Fields+fields, l.Head+size, max(l.FieldLine, size)
	return l
}

func orDefault(v, def int) int {
	if v == 0 {
		return def
	}
	return v
}
