package remote

import "fapws/runtime/exchange"

const (
	// window bounds the bytes of a response that the application has sent and the client has not taken.
	window = 256 << 10

	// piece bounds the bytes of a body in one frame.
	piece = 64 << 10
)

// encodePart returns the frame of a part, or, of a large body, of the bytes from off on up to piece. rest says that more follows,
// for which first is false.
func encodePart(p *exchange.Part, off int) (f frame, size int, rest bool) {
	body, first := p.Body[off:], off == 0
	if rest = p.Op == exchange.OpBody && len(body) > piece; rest {
		body = body[:piece]
	}
	head := first && (p.First || p.Interim)
	file := p.File >= 0 && !rest
	request := head && len(p.Head.Request) > 0 || p.Op == exchange.OpHandOver
	trailers := p.Trailers != nil && !rest
	e := encoder{b: make([]byte, 0, len(body)+64)}
	e.flags(p.First && first, p.Last && !rest, p.Interim, p.Failed && !rest, p.Taken, p.Warm, file, head, request, trailers)
	e.number(int64(p.Op))
	e.number(int64(p.Code))
	e.number(p.Credit)
	e.bytes(body)
	if file {
		e.number(p.Offset)
		e.number(p.Count)
	}
	if head {
		encodeHead(&e, &p.Head)
	}
	if request {
		e.bytes(p.Head.Request)
	}
	if trailers {
		e.bytes(*p.Trailers)
	}
	f = frame{kind: kindPart, ticket: p.Ticket, data: e.b}
	size = len(body)
	if file {
		f.files = []int{p.File}
		size += int(min(p.Count, window)) // it needs no memory
	}
	return f, size, rest
}

// decodePart is the reverse. The part has the descriptor of the frame.
func decodePart(f *frame) (p exchange.Part, err error) {
	d := decoder{b: f.data}
	var file, head, request, trailers bool
	p.Ticket, p.File = f.ticket, -1
	d.flags(&p.First, &p.Last, &p.Interim, &p.Failed, &p.Taken, &p.Warm, &file, &head, &request, &trailers)
	p.Op, p.Code, p.Credit = exchange.Op(d.number()), uint16(d.number()), d.number()
	p.Body = d.bytes()
	if file {
		p.Offset, p.Count = d.number(), d.number()
	}
	if head {
		decodeHead(&d, &p.Head)
	}
	if request {
		p.Head.Request = d.bytes()
	}
	if trailers {
		t := exchange.Trailers(d.bytes())
		p.Trailers = &t
	}
	if d.bad || file != (len(f.files) == 1) || p.First && !head || p.Head.StaticScript < 0 || p.Head.StaticScript > len(p.Head.StaticPath) {
		return p, errGarbled
	}
	if file {
		p.File, f.files = f.files[0], nil
	}
	return p, nil
}

// texts returns the texts of a head. Those that only the server makes are not among them.
func texts(h *exchange.Head) []*[]byte {
	return []*[]byte{&h.Reason, &h.Fields, &h.Name, &h.Static, &h.StaticPath, &h.SendFile, &h.Subprotocol, &h.Channel}
}

func encodeHead(e *encoder, h *exchange.Head) {
	e.flags(h.Program, h.Accel, h.Refusal, h.Failure, h.WebSocket, h.HasDate, h.HasServer, h.Close)
	e.number(int64(h.Status))
	e.number(h.Length)
	e.number(int64(h.Type))
	e.number(int64(h.StaticScript))
	e.text(h.ContentType)
	for _, t := range texts(h) {
		e.bytes(*t)
	}
}

func decodeHead(d *decoder, h *exchange.Head) {
	d.flags(&h.Program, &h.Accel, &h.Refusal, &h.Failure, &h.WebSocket, &h.HasDate, &h.HasServer, &h.Close)
	h.Status, h.Length, h.Type, h.StaticScript = d.small(), d.number(), exchange.TypeHint(d.number()), d.small()
	h.ContentType = d.text()
	for _, t := range texts(h) {
		*t = d.bytes()
	}
}
