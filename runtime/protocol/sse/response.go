package sse

import (
	"bytes"

	"fapws/runtime/exchange"
	"fapws/runtime/filter/header"
	"fapws/runtime/http1"
)

var (
	crlf            = []byte("\r\n")
	contentType     = []byte("Content-Type")
	contentEncoding = []byte("Content-Encoding")
	cacheControl    = []byte("Cache-Control")
	accelBuffers    = []byte("X-Accel-Buffering")

	eventStream = []byte("Content-Type: text/event-stream\r\n")
	noStore     = []byte("Cache-Control: no-store\r\n")
	notBuffered = []byte("X-Accel-Buffering: no\r\n") // nginx would collect events

	emptyLine      = []byte("\n\n") // after a line without its end
	emptyLineChunk = []byte("2\r\n\n\n\r\n")
)

// SetHead makes the head of a handler's response that of an event stream.
func SetHead(h *exchange.Head) {
	fields := make([]byte, 0, len(h.Fields)+128)
	fields = append(fields, eventStream...)
	cached, buffered := false, false
	for line := range bytes.Lines(h.Fields) {
		name := header.Name(line)
		switch {
		case bytes.EqualFold(name, contentType), bytes.EqualFold(name, contentEncoding):
			continue
		case bytes.EqualFold(name, cacheControl):
			cached = true
		case bytes.EqualFold(name, accelBuffers):
			buffered = true
		}
		fields = append(fields, line...)
	}
	if !cached {
		fields = append(fields, noStore...)
	}
	if !buffered {
		fields = append(fields, notBuffered...)
	}
	h.Status, h.Reason, h.Fields = 200, nil, fields
	h.Length, h.Type, h.Close = -1, exchange.TypeSet, true
}

// Retry returns what a stream begins with, behind the head of the response: how long the client waits before it reconnects. size is
// the number of bytes without their framing.
func (s *Subscribers) Retry(minor uint8) (wire []byte, size int) {
	return s.retry.Wire(minor), len(s.retry.Text())
}

// Terminator returns the bytes between the body of a handler's response, of which last is the last piece and sent the number of bytes with
// those of Retry, and the first event: an empty line if the body may not end with one. That of a framework is perhaps "{}" or "null",
// and the first event would be a part of its line. A second empty line means nothing to clients. size is the number of bytes without their framing.
func (s *Subscribers) Terminator(framing http1.Framing, last []byte, sent int64) (wire []byte, size int) {
	switch {
	case sent == int64(len(s.retry.Text())) || bytes.HasSuffix(last, emptyLine):
		return nil, 0
	case framing == http1.Chunked:
		return emptyLineChunk, len(emptyLine)
	}
	return emptyLine, len(emptyLine)
}
