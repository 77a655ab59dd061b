package http1

import "bytes"

// Parse reads a request head from the start of buf. On success it returns how
// many bytes the head takes, at most two empty lines before it included (RFC
// 9112 §2.2), and fills in r; spans count from the first byte of the method,
// that is from buf[n-r.HeadLen]. Bytes beyond the head are not looked at.
//
// ErrNeedMore says that buf holds the beginning of a head: call again with the
// same bytes and more behind them (see Request.Resume). Only whole lines are
// judged, so the answer does not depend on how the bytes were cut. Every other
// error is a *StatusError. After an error r is without meaning but for Resume.
//
// Parse is stricter than RFC 9112 where that lets a server choose: a line ends
// with CRLF (not LF), one space separates the parts of the request line, and a
// target has visible ASCII only.
func (r *Request) Parse(buf []byte, lim *Limits) (n int, err error) {
	start := 0
	for start < 4 && len(buf)-start >= 2 && buf[start] == '\r' && buf[start+1] == '\n' {
		start += 2
	}
	head := buf[start:]
	if len(head) == 0 || len(head) == 1 && head[0] == '\r' && start < 4 {
		return 0, ErrNeedMore
	}
	// Judged before the line is whole: TLS on this port should not wait for a LF.
	if class[head[0]]&isToken == 0 {
		r.Resume = Resume{}
		return 0, errNoRequest
	}
	resumed := r.Resume != Resume{}
	err = r.lines(head, lim, false)
	if err == nil && resumed {
		// The lines before Resume were judged in earlier calls, but what they
		// say was not kept. Twice in all is still O(n).
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

// ParseWhole reads a head that is whole, whose request line may say HTTP/2.0: a request of HTTP/2 that was given the form of HTTP/1, or a
// request that was parsed before. The rules and the limits are those of Parse, which refuses this version. The error is a *StatusError.
func (r *Request) ParseWhole(head []byte, lim *Limits) error {
	r.Resume = Resume{}
	err := r.lines(head, lim, true)
	if err == ErrNeedMore {
		return errNoRequest
	}
	return err
}

// lines goes over the lines of head from r.Resume on. At the empty line it
// sets r.HeadLen and, if it began with the first line, completes r. http2 says that its version may be HTTP/2.0.
func (r *Request) lines(head []byte, lim *Limits, http2 bool) error {
	maxLine := orDefault(lim.RequestLine, DefaultRequestLine)
	maxField := orDefault(lim.FieldLine, DefaultFieldLine)
	maxHead := orDefault(lim.Head, DefaultHead)
	maxFields := orDefault(lim.Fields, DefaultFields)

	at := r.Resume
	*r = Request{Fields: r.Fields[:0], Resume: at}
	pos, seen := int(at.line), int(at.seen)

	if pos == 0 {
		i := bytes.IndexByte(head[seen:], '\n')
		if i < 0 {
			r.Resume.seen = uint32(len(head))
			if len(head)-1 > min(maxLine, maxHead) { // -1: the last byte may be CR
				return errLineTooLong
			}
			return ErrNeedMore
		}
		eol := seen + i
		if eol-1 > min(maxLine, maxHead) {
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
		i := bytes.IndexByte(head[seen:], '\n')
		if i < 0 {
			r.Resume = Resume{uint32(pos), uint32(len(head)), at.fields + uint32(len(r.Fields))}
			if err := tooLong(pos, len(head), maxField, maxHead); err != nil {
				return err
			}
			return ErrNeedMore
		}
		eol := seen + i
		if err := tooLong(pos, eol, maxField, maxHead); err != nil {
			return err
		}
		if head[eol-1] != '\r' { // eol-1 is LF of the line before if this one is only LF
			return errBareLF
		}
		if eol == pos+1 {
			r.HeadLen = eol + 1
			if at.line > 0 {
				return nil
			}
			return r.complete(head, &k)
		}
		if int(at.fields)+len(r.Fields) >= maxFields {
			return errTooManyFields
		}
		if err := r.field(head, pos, eol-1, &k); err != nil {
			return err
		}
		pos = eol + 1
		seen = pos
	}
}

// tooLong checks a field line that begins at pos and whose LF is at end, or
// that has not ended within the end bytes that are there.
func tooLong(pos, end, maxField, maxHead int) error {
	// Of the two limits the one that the line meets first, however it arrives.
	if end-1-pos > maxField && pos+maxField+2 <= maxHead {
		return errFieldTooLong
	}
	if end >= maxHead {
		return errHeadTooLarge
	}
	return nil
}

// complete applies the rules that concern the head as a whole.
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
	// RFC 9112 §9.3: close wins, then the version decides.
	r.KeepAlive = !k.close && (r.Version > HTTP10 || k.keepAlive)
	r.Upgrade = k.upgrade
	r.Trailers = r.Version == HTTP2 || k.trailers && r.Version == HTTP11
	if k.body {
		return r.framing(head)
	}
	return nil
}
