package ctl

import (
	"bytes"
	"errors"
	"strconv"
	"time"

	"fapws/runtime/http1"
)

// maxHead limits the head of a response, in bytes.
const maxHead = 64 << 10

// http1Session speaks HTTP/1.1: one request at a time.
type http1Session struct {
	c       *connection
	request benchRequest
	head    []byte // the beginning of a head that is not whole
	left    int64  // bytes of the body that are still to come, with sized
	bytes   int64  // of the response, up to now
	status  int
	body    bodyKind
	chunked http1.ChunkedReader
	busy    bool // a response is awaited
	last    bool // the server closes the connection after this response
}

type bodyKind uint8

const (
	inHead bodyKind = iota // the head has not been read
	sized
	chunked
	untilClose
)

var (
	errNotHTTP  = errors.New("the response is not HTTP/1.1")
	errLong     = errors.New("the head of a response is too long")
	errTooMuch  = errors.New("more than the response has come")
	errLength   = errors.New("Content-Length is wrong")
	errChunked  = errors.New("the chunks of a response are malformed")
	endOfHead   = []byte("\r\n\r\n")
	httpOnePart = []byte("HTTP/1.")
)

func (s *http1Session) room() int {
	if s.busy || s.last {
		return 0
	}
	return 1
}

func (s *http1Session) start(r benchRequest) {
	s.request, s.busy, s.bytes = r, true, 0
	_, _ = s.c.Write(s.c.g.target.request) // which collects it
}

func (s *http1Session) closing() bool { return s.last }

func (s *http1Session) waiting() (int, time.Duration) {
	if !s.busy {
		return 0, 0
	}
	return 1, s.request.sent
}

func (s *http1Session) ended() error {
	switch {
	case !s.busy:
		return nil
	case s.body != untilClose:
		return errClosed
	}
	s.finish()
	return nil
}

func (s *http1Session) finish() {
	s.busy, s.body = false, inHead
	s.c.g.finished(s.request, s.status, s.bytes)
}

func (s *http1Session) input(b []byte) error {
	if !s.busy {
		return errTooMuch
	}
	s.bytes += int64(len(b))
	for {
		switch s.body {
		case inHead:
			rest, whole, err := s.readHead(b)
			if err != nil || !whole {
				return err
			}
			b = rest
			continue
		case sized:
			n := min(s.left, int64(len(b)))
			s.left -= n
			b = b[n:]
			if s.left > 0 {
				return nil
			}
		case chunked:
			rest, err := s.readChunks(b)
			if err != nil || !s.chunked.Done() {
				return err
			}
			b = rest
		case untilClose:
			return nil
		}
		if len(b) > 0 {
			return errTooMuch
		}
		s.finish()
		return nil
	}
}

// readChunks takes chunks from b. It returns the bytes behind the last one.
func (s *http1Session) readChunks(b []byte) (rest []byte, err error) {
	for !s.chunked.Done() {
		_, n, err := s.chunked.Next(b)
		b = b[n:]
		if err == http1.ErrNeedMore {
			return nil, nil
		}
		if err != nil {
			return nil, errChunked
		}
	}
	return b, nil
}

// readHead takes the head of a response from b, which may have only a part of it. It returns the bytes behind it.
func (s *http1Session) readHead(b []byte) (rest []byte, whole bool, err error) {
	if len(s.head) > 0 {
		before := len(s.head)
		s.head = append(s.head, b...)
		end := bytes.Index(s.head, endOfHead)
		if end < 0 {
			return nil, false, s.tooLong()
		}
		end += len(endOfHead)
		err = s.parseHead(s.head[:end])
		s.head = s.head[:0]
		return b[end-before:], true, err
	}
	end := bytes.Index(b, endOfHead)
	if end < 0 {
		s.head = append(s.head, b...)
		return nil, false, s.tooLong()
	}
	end += len(endOfHead)
	return b[end:], true, s.parseHead(b[:end])
}

func (s *http1Session) tooLong() error {
	if len(s.head) > maxHead {
		return errLong
	}
	return nil
}

// parseHead learns from a head how the body is framed (RFC 9112 §6.3).
func (s *http1Session) parseHead(head []byte) error {
	if len(head) < len("HTTP/1.1 200\r\n") || !bytes.HasPrefix(head, httpOnePart) || head[8] != ' ' {
		return errNotHTTP
	}
	status, err := strconv.Atoi(string(head[9:12]))
	if err != nil || status < 100 {
		return errNotHTTP
	}
	s.status = status
	s.last = s.c.g.target.close || head[7] == '0'
	length, isChunked := int64(-1), false
	for lines := head[bytes.IndexByte(head, '\n')+1:]; len(lines) > 0; {
		end := bytes.IndexByte(lines, '\n')
		line := lines[:end]
		lines = lines[end+1:]
		switch colon := bytes.IndexByte(line, ':'); colon {
		case len("Connection"):
			if bytes.EqualFold(line[:colon], []byte("Connection")) {
				s.connection(bytes.TrimSpace(line[colon+1:]))
			}
		case len("Content-Length"):
			if bytes.EqualFold(line[:colon], []byte("Content-Length")) {
				n, err := strconv.ParseInt(string(bytes.TrimSpace(line[colon+1:])), 10, 64)
				if err != nil || n < 0 || length >= 0 && n != length {
					return errLength
				}
				length = n
			}
		case len("Transfer-Encoding"):
			isChunked = isChunked || bytes.EqualFold(line[:colon], []byte("Transfer-Encoding"))
		}
	}
	switch {
	case status < 200 && status != 101: // another head follows
		s.body = inHead
	case s.c.g.target.head || status == 101 || status == 204 || status == 304:
		s.body, s.left = sized, 0
	case isChunked:
		s.body, s.chunked = chunked, http1.ChunkedReader{}
	case length >= 0:
		s.body, s.left = sized, length
	default:
		s.body, s.last = untilClose, true
	}
	return nil
}

// connection takes the value of a Connection field, a list (RFC 9110 §7.6.1).
func (s *http1Session) connection(value []byte) {
	for more := true; more; {
		var option []byte
		option, value, more = bytes.Cut(value, []byte(","))
		switch option = bytes.TrimSpace(option); {
		case bytes.EqualFold(option, []byte("close")):
			s.last = true
			return
		case bytes.EqualFold(option, []byte("keep-alive")):
			s.last = s.c.g.target.close
		}
	}
}
