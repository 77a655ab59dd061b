package conn

import "fapws/runtime/exchange"

const (
	// CopyLimit is the size up to which a body is copied to Set.Buf. A larger one is written from where it is.
	CopyLimit = 16 << 10

	// FlushLimit is the size of Set.Buf from which it is flushed.
	FlushLimit = 64 << 10
)

// PartOwner has the parts that a connection sends: the exchange of a protocol.
type PartOwner interface {
	// PartSent takes p back when its body is not needed any more. err is as for Owner.
	PartSent(p *exchange.Part, err error)

	// PartWaits notes that p waits, of which left bytes were not written. It returns what has to hear of the bytes that are: nil if
	// nothing has.
	PartWaits(p *exchange.Part, left int) *Unsent
}

// sentPart is a part that is being written.
type sentPart struct {
	of   PartOwner
	part exchange.Part
}

// Sent implements Owner.
func (p *sentPart) Sent(err error) { p.of.PartSent(&p.part, err) }

// SendPart writes the gathered output and, without copying them, body and tail. Bytes that the socket does not take become a transfer.
// Then of gets p back.
func (c *Conn) SendPart(p *exchange.Part, of PartOwner, body, tail []byte) {
	rest, err := c.Write(c.TakeGathered(), body, tail)
	if rest != nil {
		c.QueuePart(p, of, rest, true)
		return
	}
	of.PartSent(p, nil)
	if err != nil {
		c.Close(err.Error())
	}
}

// QueuePart is Queue for items of p.
func (c *Conn) QueuePart(p *exchange.Part, of PartOwner, items []Item, full bool) {
	left := 0
	for i := range items {
		left += len(items[i].Data)
	}
	c.Queue(Output{Items: items, Owner: &sentPart{of, *p}, Unsent: of.PartWaits(p, left)}, full)
}
