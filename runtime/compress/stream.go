package compress

import (
	"fmt"

	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
	"fapws/runtime/system"
)

const (
	// mostStreams limits the number of encoders in a process. All encoders together use at most a sixteenth of the memory
	// (system.Memory), but at least leastStreams are permitted.
	mostStreams  = 64
	leastStreams = 2

	// encoderSize is the memory of an encoder, with the piece that it compresses, in bytes.
	encoderSize = 2 << 20

	// window limits how many compressed bytes of a response wait for the client.
	window = 64 << 10

	// step is how many bytes are compressed at most before the result is sent.
	step = 64 << 10

	// inlineRoom limits how many bytes the event loop compresses in a batch in inline mode.
	inlineRoom = 512 << 10
)

type stream struct {
	f       *filter
	encoder *encoder // nil after free
	// number of bytes of the body that have not arrived, according to Content-Length; negative without Content-Length
	left   int64
	off    int // number of bytes of the first waiting part that were already compressed
	unsent int // number of compressed bytes that wait for the client
}

// begins sends the head of a response that is compressed in pieces.
func (f *filter) begins(own *exchange.Part) {
	if int64(f.c.open+1)*encoderSize > memory() {
		f.pass(own)
		return
	}
	f.c.open++
	f.stream = &stream{f: f, encoder: newEncoder(f.coding, Processors.level()), left: own.Head.Length}
	head := exchange.Part{First: true, Head: own.Head}
	head.Head.Fields, head.Head.Length = codedFields(own.Head.Fields, f.coding), -1
	f.holds = true
	f.next.Send(&head)
	own.First = false
	f.hold(own)
}

// memory limits the memory of all encoders, and that of all whole bodies that wait for a turn, in bytes.
func memory() int64 {
	if memory := system.Memory(); memory > 0 {
		return max(leastStreams*encoderSize, min(mostStreams*encoderSize, memory/16))
	}
	return mostStreams * encoderSize
}

// goOn compresses up to step bytes if parts wait and the client does not read too slowly. If now is true, and the event
// loop may still compress that many bytes itself, goOn also sends the result.
func (s *stream) goOn(now bool) {
	f := s.f
	switch {
	case f.busy || len(f.waiting) == 0:
		return
	case f.x.Conn() == nil:
		f.drop()
		return
	case s.unsent >= window:
		return
	}
	pieces, took, last := s.take()
	if last && took[len(took)-1].End == exchange.Incomplete {
		last = false // do not end the encoding, so that the client notices that the body is incomplete
	}
	f.busy = true
	var coded []byte
	encode := func() {
		if len(pieces) > 0 || last {
			coded = s.encoder.encode(pieces, last)
		}
	}
	n := 0
	for _, piece := range pieces {
		n += len(piece)
	}
	if now && n < f.c.room {
		f.c.room -= n
		encode()
		s.send(coded, took)
		return
	}
	f.c.conns.Offload(f.x.Conn(), func() {
		if n > 0 && Processors.Take(patience) { // otherwise the handler would wait longer
			defer Processors.Leave()
		}
		encode()
	}, func(bug bool) {
		if c := f.x.Conn(); bug && c != nil {
			c.Close("internal error") // x no longer has a client afterwards
		}
		s.send(coded, took)
	})
}

// take returns at most step bytes from the waiting parts. It removes the parts that are used up, and returns them in
// took.
func (s *stream) take() (pieces [][]byte, took []exchange.Part, last bool) {
	f := s.f
	for n := 0; len(f.waiting) > 0 && n < step; {
		p := &f.waiting[0]
		piece := p.Body[s.off:]
		if room := step - n; len(piece) > room {
			piece = piece[:room]
		}
		s.off += len(piece)
		whole := s.off == len(p.Body)
		if len(piece) > 0 {
			n += len(piece)
			if s.left >= 0 { // the body must not exceed its Content-Length
				piece = piece[:min(int64(len(piece)), s.left)]
				s.left -= int64(len(piece))
			}
			pieces = append(pieces, piece)
		}
		if !whole {
			break
		}
		if last = p.Last(); last && s.left > 0 {
			f.x.Log(logfile.Warning, fmt.Sprintf("a response was %d bytes shorter than its Content-Length", s.left))
			p.End = exchange.Incomplete
		}
		took = append(took, *p)
		f.waiting, s.off = f.waiting[1:], 0
	}
	return pieces, took, last
}

func (s *stream) send(coded []byte, took []exchange.Part) {
	f := s.f
	out := exchange.Part{Body: coded, Owner: &owned{took, s, len(coded)}}
	if n := len(took); n > 0 && took[n-1].Last() {
		out.End, out.Trailers = took[n-1].End, trailersOf(&took[n-1])
		s.free()
	}
	s.unsent += len(coded)
	last := out.Last()
	f.next.Send(&out)
	if f.busy = false; !last {
		s.goOn(true)
	}
}

func (s *stream) sent(n int) {
	if s.unsent -= n; s.encoder != nil && s.f.x.Conn() != nil {
		s.goOn(false) // output is being written now, so the next part must be sent later
	}
}

func (s *stream) free() {
	if s.encoder != nil {
		s.encoder.free()
		s.encoder = nil
		s.f.c.open--
	}
}
