package http

import (
	"errors"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
)

// An Exchange has most methods of exchange.Sink and exchange.Server: parts that its source sends go to the carrier, or wait for their
// turn there. The Host adds those that need to know its site.

// Send implements exchange.Sink.
func (x *Exchange) Send(p *exchange.Part) {
	c := x.Carrier
	if p.Taken {
		x.Out.Status = 101
	}
	if p.Last && c != nil && c.Ending(x, p) {
		return
	}
	switch {
	case c == nil, p.Interim && !c.TakesInterim(x):
		x.Release(p)
	case !c.InTurn(x):
		x.Hold(p)
	default:
		c.Transmit(x, p)
		c.Advance()
	}
}

// InTurn implements exchange.Server.
func (x *Exchange) InTurn() bool { return x.Carrier.InTurn(x) }

// AwaitTurn implements exchange.Server.
func (x *Exchange) AwaitTurn() {
	if x.phase == deciding {
		x.suspend(awaitingTurn)
	} else {
		x.awaitsTurn = true
	}
}

// Advance has the carrier write the next part of x, whose turn it is, that was held, or starts its source if that has waited for its
// turn. It reports false if there is neither.
func (x *Exchange) Advance() bool {
	switch {
	case len(x.held) > 0:
		p := x.unhold()
		if len(x.held) == 0 {
			x.Source.OnRoom(&x.Exchange)
		}
		x.Carrier.Transmit(x, &p)
	case x.awaitsTurn:
		x.awaitsTurn = false
		x.Source.Start(&x.Exchange)
	default:
		return false
	}
	return true
}

// HasRoom tells the source of x that all that had to wait was written, unless parts are held.
func (x *Exchange) HasRoom() {
	if len(x.held) == 0 && x.Source != nil {
		x.Source.OnRoom(&x.Exchange)
	}
}

// Keep implements exchange.Server.
func (x *Exchange) Keep() {
	x.s.Host.Keep(x)
	x.lasting = true
}

// WaitsForClient implements exchange.Server. Parts may wait for the client, or for earlier responses, or the rest of a body is
// awaited.
func (x *Exchange) WaitsForClient() bool {
	return x.Carrier != nil && x.Carrier.WaitsForClient(x) || len(x.held) > 0
}

// Beside implements exchange.Server.
func (x *Exchange) Beside(work func(), done func(gone bool)) {
	if x.phase == deciding {
		source := x.Source
		x.suspend(awaitingSource)
		x.Source = source
	}
	x.beside = true
	x.s.Set.Beside(work, func(bug bool) { x.besideDone(done, bug) })
}

// besideDone goes on with x, whose source has done its work beside the loop.
func (x *Exchange) besideDone(done func(gone bool), bug bool) {
	if c := x.Conn(); c != nil && bug {
		c.Close("internal error")
	}
	x.beside = false
	if x.Carrier == nil {
		if !bug {
			done(true)
		}
		x.End()
		return
	}
	decided := x.phase == awaitingSource
	if decided {
		x.phase = answering
	}
	x.Carrier.BesideDone(x, decided)
	done(false)
}

// Wall implements exchange.Server.
func (x *Exchange) Wall() int64 { return x.s.Set.Start().UnixNano() + x.s.Now() }

// Release gives a part of x back. With the last one x ends.
func (x *Exchange) Release(p *exchange.Part) {
	last := p.Last
	if x.unsent != nil {
		x.s.Set.Unsent.Drop(x.unsent, p.Body, 0)
	}
	if p.Owner != nil {
		p.Owner.Release(p)
	}
	if last {
		x.End()
	}
}

// Abandon ends x, which its carrier has given up, without a response.
func (x *Exchange) Abandon() {
	x.Carrier = nil
	x.s.Host.Canceled(x)
	ended := x.DropHeld()
	switch {
	case ended || x.beside: // or it ends with that
	case x.phase < answering:
		x.End()
	default:
		x.Source.OnGone(&x.Exchange)
	}
}

// ClientGone ends x, whose connection another protocol has, when the client has left.
func (x *Exchange) ClientGone() {
	x.Carrier = nil
	x.Source.OnGone(&x.Exchange)
}

// PartSent implements conn.PartOwner.
func (x *Exchange) PartSent(p *exchange.Part, err error) {
	if errors.Is(err, conn.ErrShortFile) {
		x.LogShort(err)
	}
	x.Release(p)
}

// LogShort tells the operator that a file has not all that the response to x was promised.
func (x *Exchange) LogShort(err error) {
	x.Server.Log(logfile.Warning, "response aborted: "+err.Error())
}
