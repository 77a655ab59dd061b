package static

import (
	"sync"
	"sync/atomic"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

// Source answers exchanges with files. It is an exchange.Source.
type Source struct {
	exchange.Memory
	files    *Files
	declines bool

	mu    sync.Mutex
	spare []*Answer // to be used again, so that a file in memory costs no allocation
}

// mostSpare bounds the spare answers of a source.
const mostSpare = 64

// NewSource returns a Source of files. If it declines, routing continues for missing files.
func NewSource(files *Files, declines bool) *Source { return &Source{files: files, declines: declines} }

// Files returns the files that the source serves.
func (s *Source) Files() *Files { return s.files }

// Declines implements exchange.Optional.
func (s *Source) Declines() bool { return s.declines }

var allowRead = []byte("Allow: GET, HEAD\r\n")

// Start implements exchange.Source. A file that is not in memory is opened beside the loop.
func (s *Source) Start(x *exchange.Exchange) {
	switch r := x.Req.Parsed; {
	case r.Body != http1.Chunked && r.Length <= 0:
	case r.Safe:
		x.Sink.Reply(exchange.Reply{Status: 413, Text: "a file does not accept a request body"})
		return
	default: // a form, say: the method is wrong first of all
		x.Sink.Reply(exchange.Reply{Status: 405, Fields: allowRead})
		return
	}
	if !x.Server.InTurn() {
		x.Server.AwaitTurn()
		return
	}
	a := s.newAnswer()
	a.request = requestOf(x)
	x.Server.NoteFile(s.files.Root(), a.request.Path)
	if s.files.Hit(x.Server.Wall(), &a.request, &a.Response) {
		a.Send(x)
		return
	}
	x.Server.Beside(func() {
		a.request = requestOf(x)
		s.files.Open(&a.request, &a.Response)
	}, func(gone bool) {
		switch {
		case gone:
			a.release()
		case a.Index != "" && x.Server.Decline(a.Index), s.declines && a.Head.Status == 404 && x.Server.Decline(""):
			a.release()
		default:
			a.Send(x)
		}
	})
}

// requestOf returns the file request of x.
func requestOf(x *exchange.Exchange) Request {
	r := x.Req
	return Request{Path: r.Path[r.Script:], Prefix: x.Prefix, Head: r.Head, Parsed: r.Parsed}
}

// Answer is a Response that an exchange is sent. It is the owner of the parts.
type Answer struct {
	Response
	request Request
	part    exchange.Part // scratch of SendWhole
	home    *Source       // where it is spare afterwards; nil: nowhere
	users   atomic.Int32  // Send, and the last part
}

// NewAnswer returns an Answer whose Response is empty. Send must be called, or Drop.
func NewAnswer() *Answer {
	a := new(Answer)
	a.users.Store(1)
	return a
}

// newAnswer is NewAnswer with memory that was used before.
func (s *Source) newAnswer() (a *Answer) {
	s.mu.Lock()
	if n := len(s.spare); n > 0 {
		a, s.spare = s.spare[n-1], s.spare[:n-1]
	}
	s.mu.Unlock()
	if a == nil {
		a = &Answer{home: s}
	}
	a.users.Store(1)
	return a
}

// Drop gives up an Answer that is not sent.
func (a *Answer) Drop() { a.release() }

// release ends one use of a.
func (a *Answer) release() {
	if a.users.Add(-1) > 0 {
		return
	}
	a.Close()
	a.request = Request{}
	if s := a.home; s != nil {
		s.mu.Lock()
		if len(s.spare) < mostSpare {
			s.spare = append(s.spare, a)
		}
		s.mu.Unlock()
	}
}

// Release implements exchange.Owner.
func (a *Answer) Release(p *exchange.Part) {
	if p.Last {
		a.release()
	}
}

// Send answers x, whose turn it is, with the response, or with the page of its site for an error.
func (a *Answer) Send(x *exchange.Exchange) {
	if a.Head.Status >= 400 {
		r := a.reply(&a.request)
		a.release()
		x.Sink.Reply(r)
		return
	}
	a.SendWhole(x)
}

// SendWhole is Send for responses that are not replaced by a page.
func (a *Answer) SendWhole(x *exchange.Exchange) {
	x.By = "files"
	a.users.Add(1)
	p, n := &a.part, max(1, len(a.Segments))
	p.Owner, p.Head = a, a.Head
	for i := range n {
		p.First, p.Last = i == 0, i == n-1
		p.Body, p.File, p.Offset, p.Count, p.Warm = nil, -1, 0, 0, a.Warm
		if i < len(a.Segments) {
			s := &a.Segments[i]
			if p.Body = s.Data; s.Data == nil {
				p.File, p.Offset, p.Count = a.Fd(), s.Offset, s.Count
			}
		}
		x.Sink.Send(p)
	}
	a.release()
}
