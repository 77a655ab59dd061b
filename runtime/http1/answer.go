package http1

import (
	"bytes"
	"fmt"
)

// UpstreamHead is the parsed head of a response from an upstream. Its fields, framing and Connection options are parsed like
// those of a request, so that one parser decides where a body ends. The zero value is ready for use, and Parse reuses
// the memory of Fields.
type UpstreamHead struct {
	Request
	Status int
	Reason Span // as sent; may be empty
}

// MaxUpstreamHead limits the head of a response from an upstream, in bytes.
const MaxUpstreamHead = 64 << 10

// Parse reads the head of a response from the start of buf, and returns its length. Spans count from the start of buf.
// seen is the number of bytes that an earlier call has examined. ErrNeedMore means that the head is incomplete.
//
// Programs in front of which a proxy runs are less careful than clients, so Parse accepts LF as a line end, joins folded
// lines, and removes spaces between a name and its colon, except for fields that affect framing (RFC 9112 §2.2, §5.1,
// §5.2). It does so by changing buf.
func (a *UpstreamHead) Parse(buf []byte, seen int) (n int, err error) {
	const start = "HTTP/1."
	if k := min(len(buf), len(start)); string(buf[:k]) != start[:k] {
		return 0, fmt.Errorf("malformed HTTP response: %.80q", buf)
	}
	if n = headEnd(buf, max(0, seen-2)); n < 0 && len(buf) <= MaxUpstreamHead {
		return 0, ErrNeedMore
	} else if n < 0 || n > MaxUpstreamHead {
		return 0, fmt.Errorf("the head of the response exceeds %d bytes", MaxUpstreamHead)
	}
	head := buf[:n]
	line := bytes.IndexByte(head, '\n')
	*a = UpstreamHead{Request: Request{Fields: a.Fields[:0], HeadLen: n}}
	if !a.statusLine(head[:line]) {
		return 0, fmt.Errorf("malformed HTTP status line: %.80q", head[:line])
	}
	var k known
	for pos := line + 1; pos < n; {
		eol := pos + bytes.IndexByte(head[pos:], '\n')
		for eol > pos+1 && eol+1 < n && (head[eol+1] == ' ' || head[eol+1] == '\t') {
			head[eol] = ' '
			if head[eol-1] == '\r' {
				head[eol-1] = ' '
			}
			eol += bytes.IndexByte(head[eol:], '\n')
		}
		end := eol
		if end > pos && head[end-1] == '\r' {
			end--
		}
		if end > pos {
			closeName(head[pos:end])
			if err := a.field(head, pos, end, &k); err != nil {
				return 0, fmt.Errorf("malformed field: %w", err)
			}
		}
		pos = eol + 1
	}
	a.KeepAlive, a.Upgrade, a.HasBody = !k.close && (a.Version > HTTP10 || k.keepAlive), k.upgrade, k.body
	return n, nil
}

// Delimit determines how the body of the response is delimited. It is not called for 1xx responses.
func (a *UpstreamHead) Delimit(head []byte) error {
	if a.Body = UntilClose; !a.HasBody {
		return nil
	}
	err := a.framing(head)
	if err != nil {
		return fmt.Errorf("malformed response: %w", err)
	}
	return nil
}

// headEnd returns the length of the head that ends after start, or -1.
func headEnd(buf []byte, start int) int {
	for {
		i := bytes.IndexByte(buf[start:], '\n')
		if i < 0 {
			return -1
		}
		start += i + 1
		switch rest := buf[start:]; {
		case len(rest) > 0 && rest[0] == '\n':
			return start + 1
		case len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n':
			return start + 2
		}
	}
}

// statusLine parses "HTTP/1.1 200 OK". The reason and the space before it may be missing.
func (a *UpstreamHead) statusLine(line []byte) bool {
	line = bytes.TrimSuffix(line, []byte{'\r'})
	const digits = len("HTTP/1.1 ")
	if len(line) < digits+3 || line[digits-1] != ' ' || len(line) > digits+3 && line[digits+3] != ' ' {
		return false
	}
	switch minor := line[digits-2]; {
	case minor < '0' || minor > '9':
		return false
	case minor > '0':
		a.Version = HTTP11
	}
	for _, c := range line[digits : digits+3] {
		if c < '0' || c > '9' {
			return false
		}
		a.Status = 10*a.Status + int(c-'0')
	}
	if reason := min(digits+4, len(line)); reason < len(line) {
		a.Reason = Span{uint32(reason), uint32(len(line) - reason)}
	}
	return validValue(line)
}

// closeName moves the colon of a field to the end of its name, unless the field affects framing.
func closeName(line []byte) {
	colon := bytes.IndexByte(line, ':')
	if colon < 1 || line[colon-1] != ' ' {
		return
	}
	name := bytes.TrimRight(line[:colon], " ")
	if len(name) > 0 && !EqualFold(name, "content-length") && !EqualFold(name, "transfer-encoding") &&
		!EqualFold(name, "connection") {
		line[colon], line[len(name)] = ' ', ':'
	}
}
