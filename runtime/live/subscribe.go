package live

import (
	"bytes"
	"fmt"

	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
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
	retryAfter  = []byte("Retry-After: 1\r\n")

	emptyLine = []byte("\n\n") // after a line without its end
)

// Subscribe makes the client of x, which has asked for r, a subscriber of the channels that p names, the first part of a handler's
// response (exchange.Head.Channel). It sends the head of the stream; the rest of the response, p included, which is not its
// first part any more, is for the Sink of x as before. If the client cannot be a subscriber, ok is false, and refusal is to be
// sent instead.
//
// A client that reads no stream (HEAD, a subrequest) gets the response alone.
func (s *Subscribers) Subscribe(x *exchange.Exchange, p *exchange.Part, r *exchange.Request) (refusal exchange.Reply, ok bool) {
	names, err := ParseNames(string(p.Head.Channel))
	if err != nil {
		line, _, _ := bytes.Cut(r.Head, crlf)
		x.Server.Log(logfile.Error, fmt.Sprintf("a handler answered %.200q with an invalid channel: %v", line, err))
		return exchange.Reply{Status: 500}, false
	}
	if !r.Parsed.Head && r.Depth == 0 {
		subscriber, err := s.admit(names, r)
		if err != nil {
			if s.mayReport() {
				x.Server.Log(logfile.Warning, err.Error()+"; sent 503")
			}
			return exchange.Reply{Status: 503, Fields: retryAfter}, false
		}
		begin := &response{Source: x.Source, sink: x.Sink, p: subscriber}
		x.Source, x.Sink = begin, begin
	}
	head := exchange.Part{First: true, File: -1, Head: streamHead(&p.Head), Body: s.retry.Text()}
	x.Sink.Send(&head)
	p.First = false
	return refusal, true
}

// streamHead returns the head of an event stream, with the fields of a handler.
func streamHead(h *exchange.Head) exchange.Head {
	fields := make([]byte, 0, len(h.Fields)+128)
	fields = append(fields, eventStream...)
	cached, buffered := false, false
	for line := range bytes.Lines(h.Fields) {
		name := exchange.FieldName(line)
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
	return exchange.Head{
		Status: 200, Fields: fields, Length: -1, Type: exchange.TypeSet, Close: true,
		Channel: bytes.Clone(h.Channel), HasDate: h.HasDate, HasServer: h.HasServer,
	}
}
