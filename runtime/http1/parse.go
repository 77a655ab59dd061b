package http1

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

// Span is the range buf[Off : Off+Len] of a head buffer. C code uses the same structure, so the integers have a fixed
// size.
type Span struct {
	Off, Len uint32
}

func (s Span) In(buf []byte) []byte { return buf[s.Off : s.Off+s.Len : s.Off+s.Len] }

// Field is a header field: its name as received, and its value without surrounding whitespace.
type Field struct {
	Name, Value Span
}

// Framing is the way in which the length of a body is determined (RFC 9112 §6.3).
type Framing uint8

const (
	NoBody Framing = iota
	// the body has Request.Length bytes, which may be 0 (Content-Length)
	Sized
	Chunked
	UntilClose // only in responses: the end of the connection ends the body
)

type Version uint8

// Versions of HTTP. The fields of an HTTP/2 request are rewritten as an HTTP/1 head before parsing (see ParseWhole).
const (
	HTTP10 Version = iota
	HTTP11
	HTTP2
)

// Traits are properties of a version that matter outside the package of its protocol.
type Traits uint8

const (
	// SharesConnection means that several exchanges use a connection at the same time. One of them can wait or fail
	// while the others continue, and the descriptor of the connection belongs to no stream.
	SharesConnection Traits = 1 << iota
	// FramesItself means that heads and bodies have frames of their own, so that the text of an HTTP/1 head is never
	// sent, and trailers can follow every body.
	FramesItself
	// TakesHints means that every client understands 103 (Early Hints, RFC 8297).
	TakesHints
)

var versions = [...]struct {
	name   string
	traits Traits
}{
	HTTP10: {name: "HTTP/1.0"},
	HTTP11: {name: "HTTP/1.1"},
	HTTP2:  {"HTTP/2.0", SharesConnection | FramesItself | TakesHints},
}

func (v Version) String() string { return versions[v].name }

// Has reports whether v has the trait t.
func (v Version) Has(t Traits) bool { return versions[v].traits&t != 0 }

// Request is a parsed request head. The spans of a Request are offsets into the head, which begins with the first byte
// of the method: after Parse returns n, the head is buf[n-HeadLen : n]. The zero value is ready for use. A Request can
// be reused; Parse then reuses the memory of Fields.
type Request struct {
	Method Span
	Target Span
	// raw path of Target: "/a%20b", "*" for OPTIONS *, or "/" if an absolute-form target has no path
	Path  Span
	Query Span
	// authority of an absolute-form target, which overrides Host; otherwise empty
	Authority Span
	Host      Span // empty if missing (HTTP/1.0)
	UpgradeTo Span
	Fields    []Field
	// length of the head with its empty line, but without the empty lines that Parse skipped
	HeadLen int
	Length  int64 // Content-Length if Body is Sized, otherwise 0
	Body    Framing
	Version Version
	// the version and the Connection field allow a persistent connection
	KeepAlive bool
	Upgrade   bool // a Connection field contains "upgrade" (RFC 9110 §7.8)
	HasBody   bool
	Expect100 bool // the request has a body, HTTP/1.1 and "Expect: 100-continue"
	// the client accepts trailer fields in the response: HTTP/2, or HTTP/1.1 with TE: trailers (RFC 9110 §6.5.1)
	Trailers bool
	Get      bool
	Head     bool
	Safe     bool // the method is GET, HEAD, OPTIONS or TRACE (RFC 9110 §9.2.1)
	Codings  bool // the request has a field Accept-Encoding
	// an Accept field contains text/html with a weight above 0 (RFC 9110 §12.5.1): the client probably is a browser
	HTML      bool
	Forwarded bool // IsForwarding is true for at least one field that the client sent
	// Target contains non-ASCII characters in UTF-8 (see AppendEncoded)
	Raw bool
	// Path is canonical (see ResolvePath): it has no "%", no backslash, no "//" and no "/."
	Plain bool

	// Resume is the point at which Parse continues after ErrNeedMore. If several connections share a Request, each of
	// them must set Resume to its own value before Parse, and save the new value afterwards.
	Resume Resume
}

// Resume records how much of an incomplete head was examined, so that no byte of the head is examined twice.
type Resume struct {
	line uint32 // start of the first incomplete line
	// number of bytes after line that are known not to contain a line end
	seen   uint32
	fields uint32
}

// Limits are the limits for a request head, in bytes. Fields is the maximum number of fields (431 if exceeded).
type Limits struct {
	RequestLine int // method, target and version without CRLF; 414 if exceeded
	FieldLine   int // name, colon and value of a field without CRLF; 431 if exceeded
	Head        int // the whole head with its empty line; 431 if exceeded
	Fields      int
}

// DefaultLimits are the default values of the settings. DefaultLimits must not be changed.
var DefaultLimits = Limits{RequestLine: 8 << 10, FieldLine: 32 << 10, Head: 64 << 10, Fields: 100}

// Plus returns larger limits, for a head to which the server has added the given number of fields with size bytes in
// total.
func (l Limits) Plus(fields, size int) Limits {
	l.Fields, l.Head, l.FieldLine = l.Fields+fields, l.Head+size, max(l.FieldLine, size)
	return l
}

// Parse reads a request head from the start of buf. Parse returns the number of bytes of the head, including at most
// two empty lines before it (RFC 9112 §2.2), and fills in r. Spans count from the first byte of the method, that is
// from buf[n-r.HeadLen]. Bytes after the head are not examined.
//
// ErrNeedMore means that buf contains an incomplete head. When more bytes have arrived, call Parse again with all bytes
// of the head (see Request.Resume). Every other error is a *StatusError. After an error, only Resume of r is valid.
//
// If RFC 9112 leaves a choice, Parse is strict: a line ends with CRLF, one space separates the parts of the request
// line, and a target has only visible ASCII. UTF-8 is also accepted in a target, because old clients do not
// percent-encode it (see Request.Raw).
func (r *Request) Parse(buf []byte, lim *Limits) (n int, err error) {
	start := 0
	for start < 4 && len(buf)-start >= 2 && buf[start] == '\r' && buf[start+1] == '\n' {
		start += 2
	}
	head := buf[start:]
	if len(head) == 0 || len(head) == 1 && head[0] == '\r' && start < 4 {
		return 0, ErrNeedMore
	}
	// The first byte is checked before the line is complete, because a client that wrongly speaks TLS might never send
	// a LF.
	if class[head[0]]&isToken == 0 {
		r.Resume = Resume{}
		return 0, errNoRequest
	}
	resumed := r.Resume != Resume{}
	err = r.lines(head, lim, false)
	if err == nil && resumed {
		// Earlier calls only checked the lines before Resume, and kept no results. Now all lines are parsed again, so
		// every line is parsed at most twice.
		r.Resume = Resume{}
		err = r.lines(head, lim, false)
	}
	if err == ErrNeedMore {
		return 0, err
	}
	r.Resume = Resume{}
	if err != nil {
		return 0, err
	}
	return start + r.HeadLen, nil
}

// ParseWhole parses a complete head. The head is an HTTP/2 request that was rewritten as HTTP/1, or a request that
// Parse has already accepted. There are two differences from Parse: the version may be HTTP/2.0, and a field may be as
// long as the head, because the Cookie of an HTTP/2 request can be joined from many fields. The error is a
// *StatusError.
func (r *Request) ParseWhole(head []byte, lim *Limits) error {
	r.Resume = Resume{}
	whole := *lim
	whole.FieldLine = whole.Head
	err := r.lines(head, &whole, true)
	if err == ErrNeedMore {
		return errNoRequest
	}
	return err
}

// lines parses the lines of head from r.Resume. At the empty line, it sets r.HeadLen and, if this call has parsed all
// lines, calls complete to check the whole head. If http2 is true, the version HTTP/2.0 is allowed.
func (r *Request) lines(head []byte, lim *Limits, http2 bool) error {
	at := r.Resume
	*r = Request{Fields: r.Fields[:0], Resume: at}
	pos, seen := int(at.line), int(at.seen)

	if pos == 0 {
		i := bytes.IndexByte(head[seen:], '\n')
		if i < 0 {
			r.Resume.seen = uint32(len(head))
			if len(head)-1 > min(lim.RequestLine, lim.Head) { // the last byte can be CR, which does not count
				return errLineTooLong
			}
			return ErrNeedMore
		}
		eol := seen + i
		if eol-1 > min(lim.RequestLine, lim.Head) {
			return errLineTooLong
		}
		if err := r.requestLine(head[:eol], http2); err != nil {
			return err
		}
		pos = eol + 1
		seen = pos
	}

	var k known
	for {
		eol := len(head) // of an incomplete line
		i := bytes.IndexByte(head[seen:], '\n')
		if i >= 0 {
			eol = seen + i
		}
		switch {
		// If the line exceeds both limits, report the limit that is reached at the smaller offset.
		case eol-1-pos > lim.FieldLine && pos+lim.FieldLine+2 <= lim.Head:
			return errFieldTooLong
		case eol >= lim.Head:
			return errHeadTooLarge
		case i < 0:
			r.Resume = Resume{uint32(pos), uint32(len(head)), at.fields + uint32(len(r.Fields))}
			return ErrNeedMore
		// If the line is only LF, the checked byte is the LF of the previous line, and the check fails, too.
		case head[eol-1] != '\r':
			return errBareLF
		}
		if eol == pos+1 {
			r.HeadLen = eol + 1
			if at.line > 0 {
				return nil
			}
			return r.complete(head, &k)
		}
		if int(at.fields)+len(r.Fields) >= lim.Fields {
			return errTooManyFields
		}
		if err := r.field(head, pos, eol-1, &k); err != nil {
			return err
		}
		pos = eol + 1
		seen = pos
	}
}

// complete checks the rules that concern several lines of the head.
func (r *Request) complete(head []byte, k *known) error {
	if k.hosts != 1 {
		if k.hosts > 1 {
			return errManyHosts // RFC 9112 §3.2
		}
		if r.Version > HTTP10 {
			return errNoHost // RFC 9112 §3.2
		}
	} else if h := r.Host.In(head); len(h) > 0 && !ValidHost(h) {
		return errHost
	}
	// "close" overrides everything else; the default depends on the version (RFC 9112 §9.3).
	r.KeepAlive = !k.close && (r.Version > HTTP10 || k.keepAlive)
	r.Upgrade = k.upgrade
	r.Trailers = k.trailers && r.Version == HTTP11 || r.Version.Has(FramesItself)
	if k.body {
		return r.framing(head)
	}
	return nil
}

// maxMethod limits the length of a method. No registered method is longer. Longer methods get 501 (RFC 9112 §3).
const maxMethod = 32

const (
	version11 = uint64('H') | 'T'<<8 | 'T'<<16 | 'P'<<24 | '/'<<32 | '1'<<40 | '.'<<48 | '1'<<56
	version10 = version11 - 1<<56
	version20 = version11 + 1<<40 - 1<<56
)

// requestLine parses "method SP request-target SP HTTP-version CR" (RFC 9112 §3, §3.2) at the start of the head. line
// ends before the LF.
func (r *Request) requestLine(line []byte, http2 bool) error {
	if line[len(line)-1] != '\r' {
		return errBareLF
	}
	line = line[:len(line)-1]
	m := 0
	for m < len(line) && class[line[m]]&isToken != 0 {
		m++
	}
	// The shortest text that can follow the method is " / HTTP/1.1". The method ends at the first space, and the
	// version has a fixed length at the end of the line. A third space is an invalid character of the target.
	version := len(line) - 8
	if m == len(line) || line[m] != ' ' || version < m+3 || line[version-1] != ' ' {
		return errRequestLine
	}
	if m > maxMethod {
		return errMethodTooLong
	}
	switch v := binary.LittleEndian.Uint64(line[version:]); {
	case v == version11:
		r.Version = HTTP11
	case http2 && v == version20:
		r.Version = HTTP2
	case v == version10:
	default:
		if err := otherVersion(line[version:]); err != nil {
			return err
		}
		r.Version = HTTP11
	}
	r.Method = Span{0, uint32(m)}
	options := false
	switch method := line[:m]; string(method) {
	case "GET":
		r.Safe, r.Get = true, true
	case "TRACE":
		r.Safe = true
	case "HEAD":
		r.Safe, r.Head = true, true
	case "OPTIONS":
		r.Safe, options = true, true
	case "CONNECT":
		return errConnect
	}
	pos, end := m+1, version-1
	r.Target = Span{uint32(pos), uint32(end - pos)}
	switch {
	case line[pos] == '/':
		return r.pathAndQuery(line, pos, end)
	case end-pos == 1 && line[pos] == '*' && options:
		r.Path, r.Plain = r.Target, true
		return nil
	}
	return r.absoluteForm(line, pos, end)
}

// otherVersion checks a version other than HTTP/1.0 and HTTP/1.1. HTTP/1.2 to HTTP/1.9 are treated as HTTP/1.1 (RFC
// 9110 §2.5).
func otherVersion(v []byte) error {
	if string(v[:5]) != "HTTP/" || v[5] < '0' || v[5] > '9' || v[6] != '.' || v[7] < '0' || v[7] > '9' {
		return errVersionSyntax
	}
	if v[5] != '1' {
		return errVersion
	}
	return nil
}

// absoluteForm parses a target that is an http or https URI (RFC 9112 §3.2.2). A target in any other form, such as an
// authority or "*" without OPTIONS, is an error.
func (r *Request) absoluteForm(line []byte, pos, end int) error {
	t := line[pos:end]
	var scheme int
	switch {
	case len(t) > 7 && EqualFold(t[:4], "http") && string(t[4:7]) == "://":
		scheme = 7
	case len(t) > 8 && EqualFold(t[:5], "https") && string(t[5:8]) == "://":
		scheme = 8
	default:
		if !all(t, isTarget) {
			return errTarget
		}
		return errTargetForm
	}
	a := scheme
	for a < len(t) && t[a] != '/' && t[a] != '?' {
		a++
	}
	// User information is invalid here (RFC 9110 §4.2.4), and ValidHost rejects "@".
	if !ValidHost(t[scheme:a]) {
		return errAuthority
	}
	r.Authority = Span{uint32(pos + scheme), uint32(a - scheme)}
	if a < len(t) && t[a] == '/' {
		return r.pathAndQuery(line, pos+a, end)
	}
	// An empty path means "/" (RFC 9110 §4.2.3). The target contains no "/" after the authority, so the span Path
	// refers to the second slash of "://".
	if err := r.pathAndQuery(line, pos+a, end); err != nil {
		return err
	}
	r.Path = Span{uint32(pos + scheme - 1), 1}
	return nil
}

// pathAndQuery parses line[pos:end], a path with an optional query. The percent-encoding of the path must be valid,
// because the server decodes the path. The query may contain any "%", because the query is forwarded unchanged, and
// browsers send "?q=100%" as typed.
func (r *Request) pathAndQuery(line []byte, pos, end int) error {
	line = line[:end]
	r.Plain = true
	i := pos
scan:
	for ; i < len(line); i++ {
		c := line[i]
		if class[c]&isPlain != 0 {
			continue
		}
		switch c {
		case '/':
			if i+1 < len(line) && (line[i+1] == '/' || line[i+1] == '.') {
				r.Plain = false
			}
		case '\\':
			r.Plain = false
		case '%':
			if i+2 >= len(line) || class[line[i+1]]&class[line[i+2]]&isHex == 0 ||
				line[i+1] == '0' && line[i+2] == '0' {
				return errPercent
			}
			r.Plain = false
		case '?':
			break scan
		default:
			if c < utf8.RuneSelf {
				return errTarget
			}
			r.Raw = true
		}
	}
	r.Path = Span{uint32(pos), uint32(i - pos)}
	if i < len(line) {
		i++
		for _, c := range line[i:] {
			if class[c]&isTarget == 0 {
				if c < utf8.RuneSelf {
					return errTarget
				}
				r.Raw = true
			}
		}
		r.Query = Span{uint32(i), uint32(len(line) - i)}
	}
	if r.Raw && !utf8.Valid(line[pos:]) {
		return errTarget
	}
	return nil
}

// AppendEncoded appends head, the head of r, to dst, and percent-encodes non-ASCII characters in the target (RFC 3987
// §3.1).
func (r *Request) AppendEncoded(dst, head []byte) []byte {
	const hex = "0123456789ABCDEF"
	end := r.Target.Off + r.Target.Len
	for _, c := range head[:end] {
		if c < utf8.RuneSelf {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', hex[c>>4], hex[c&15])
		}
	}
	return append(dst, head[end:]...)
}
