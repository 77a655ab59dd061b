package remote

import (
	"time"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

// encodeRequest returns the frame of a request, with its descriptors. Answers that other requests of its connection wait for, and
// requests that are held for want of room, are the server's business: the application begins with all that it gets.
func encodeRequest(r *exchange.Request) frame {
	f := frame{kind: kindRequest, ticket: r.Ticket}
	var e encoder
	e.b = make([]byte, 0, len(r.Head)+len(r.Path)+len(r.Body)+512)
	spooled, detached, resumed, secure := r.Spool >= 0, r.Socket > 0, r.Resumed != nil, r.Peer.TLS != nil
	e.flags(r.Traced, r.Routed, r.More, r.WebSocket, spooled, detached, resumed, secure)
	for _, n := range []int64{int64(r.Mount), int64(r.Root), int64(r.Prefix), int64(r.Script), r.Size, int64(r.Depth), int64(r.ErrorLog)} {
		e.number(n)
	}
	e.bytes(r.Head)
	e.bytes(r.Path)
	e.bytes(r.Body)
	p := r.Peer
	for _, t := range []string{p.Addr, p.Port, p.ServerName, p.ServerPort, p.Scheme, p.Host, p.User} {
		e.text(t)
	}
	e.number(int64(p.Login))
	if t := p.TLS; t != nil {
		e.number(int64(t.Version))
		e.number(int64(t.CipherSuite))
		e.text(t.Server)
		e.text(t.Variables)
	}
	if r.Resumed != nil {
		e.text(r.Resumed.Subprotocol)
		e.bytes(r.Resumed.Data)
	}
	f.data = e.b
	if spooled {
		f.files = append(f.files, r.Spool)
	}
	if detached {
		f.files = append(f.files, r.Socket)
	}
	return f
}

// decodeRequest is the reverse. parsed is used for the head.
func decodeRequest(f *frame, parsed *http1.Request, limits *http1.Limits) (*exchange.Request, error) {
	d := decoder{b: f.data}
	r := &exchange.Request{Ticket: f.ticket, Parsed: parsed, Spool: -1, Peer: &exchange.Peer{}}
	var spooled, detached, resumed, secure bool
	d.flags(&r.Traced, &r.Routed, &r.More, &r.WebSocket, &spooled, &detached, &resumed, &secure)
	r.Mount, r.Root, r.Prefix, r.Script = d.small(), d.small(), d.small(), d.small()
	r.Size, r.Depth, r.ErrorLog = d.number(), d.small(), d.small()
	r.Head, r.Path, r.Body = d.bytes(), d.bytes(), d.bytes()
	p := r.Peer
	for _, t := range []*string{&p.Addr, &p.Port, &p.ServerName, &p.ServerPort, &p.Scheme, &p.Host, &p.User} {
		*t = d.text()
	}
	p.Login = exchange.Login(d.number())
	if secure {
		p.TLS = &exchange.TLS{Version: uint16(d.number()), CipherSuite: uint16(d.number()), Server: d.text(), Variables: d.text()}
	}
	if resumed {
		r.Resumed = &exchange.Resumed{Subprotocol: d.text(), Data: d.bytes()}
	}
	if err := d.err(); err != nil {
		return nil, err
	}
	if err := parsed.ParseWhole(r.Head, limits); err != nil {
		return nil, err
	}
	for _, to := range []struct {
		given bool
		fd    *int
	}{{spooled, &r.Spool}, {detached, &r.Socket}} {
		if !to.given {
			continue
		}
		if len(f.files) == 0 {
			return nil, errGarbled
		}
		*to.fd, f.files = f.files[0], f.files[1:]
	}
	return r, nil
}

func encodeInput(in *exchange.Input) frame {
	e := encoder{b: make([]byte, 0, len(in.Data)+16)}
	e.number(int64(in.Op))
	e.flags(in.Last)
	e.number(int64(in.Code))
	e.bytes(in.Data)
	return frame{kind: kindInput, ticket: in.Ticket, data: e.b}
}

func decodeInput(f *frame) (in exchange.Input, err error) {
	d := decoder{b: f.data}
	in.Ticket, in.Op = f.ticket, exchange.Op(d.number())
	d.flags(&in.Last)
	in.Code, in.Data = uint16(d.number()), d.bytes()
	return in, d.err()
}

// numberFrame is a frame with a number.
func numberFrame(k kind, t exchange.Ticket, n int64) frame {
	var e encoder
	e.number(n)
	return frame{kind: k, ticket: t, data: e.b}
}

func (f *frame) number() int64 {
	d := decoder{b: f.data}
	return d.number()
}

func (f *frame) duration() time.Duration { return time.Duration(f.number()) }
