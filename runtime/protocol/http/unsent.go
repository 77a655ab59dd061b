package http

import (
	"fapws/runtime/conn"
	"fapws/runtime/exchange"
)

// Hold keeps a part of x until its turn comes.
func (x *Exchange) Hold(p *exchange.Part) {
	x.held = append(x.held, *p)
	x.PartWaits(p, len(p.Body))
}

// unhold takes the first part that Hold has kept, to be sent.
func (x *Exchange) unhold() exchange.Part {
	p := x.held[0]
	x.held = x.held[:copy(x.held, x.held[1:])]
	if x.unsent != nil {
		x.s.Set.Unsent.Drop(x.unsent, p.Body, len(p.Body))
	}
	return p
}

// DropHeld releases the parts that x keeps until its turn comes. ended reports whether the last one was among them: then x
// has ended.
func (x *Exchange) DropHeld() (ended bool) {
	held := x.held
	x.held = held[:0]
	ended = len(held) > 0 && held[len(held)-1].Last
	for i := range held {
		x.Release(&held[i])
	}
	clear(held)
	return ended
}

// PartWaits implements conn.PartOwner. What waits for a subrequest is counted where its client waits.
func (x *Exchange) PartWaits(p *exchange.Part, left int) *conn.Unsent {
	if len(p.Body) < conn.CountedPart || x.Carrier == nil || x.Carrier.Internal() {
		return x.unsent
	}
	if x.unsent == nil {
		x.unsent = new(conn.Unsent)
	}
	x.s.Set.Unsent.Add(x.unsent, x, p.Body, left, x.s.Now())
	return x.unsent
}

// Unsent returns how many bytes of the response wait in memory for the client.
func (x *Exchange) Unsent() int64 { return x.unsent.Size() }

// Cut implements conn.Response: the client loses the rest of the response.
func (x *Exchange) Cut() (client string) {
	client = x.s.Host.Client(x)
	if x.Carrier != nil {
		x.Carrier.Cut(x)
	}
	return client
}

// Deferred implements exchange.Server: the source begins when less of what its connection has asked for before waits.
func (x *Exchange) Deferred() {
	x.deferred = true
	x.Carrier.Deferred(x)
}

// IsDeferred reports whether the source of x has put off its response. ResumeDeferred has it begin.
func (x *Exchange) IsDeferred() bool { return x.deferred }

func (x *Exchange) ResumeDeferred() {
	x.deferred = false
	x.Source.(exchange.Pacer).Resume(&x.Exchange)
}

// Shares divides what unfinished requests need among the clients: descriptors, or memory. A client may take half of the free
// amount, so one client gets a third of Max, two get a quarter each, and some is left for the next client. Clients without a known
// address, "", may take the whole free amount.
type Shares struct {
	Max int64 // of all clients

	used    int64
	clients map[string]int64
	refused bool // a client waits for more
	freed   bool // since then, there is more
}

// Room returns how much more a client may have. It is below 0 for a client that has too much by now.
func (s *Shares) Room(client string) int64 {
	free := s.Max - s.used
	if client == "" {
		return free
	}
	return (free+1)/2 - s.clients[client]
}

// Add adds n, which may be negative, to what a client has.
func (s *Shares) Add(client string, n int64) {
	s.used += n
	s.freed = s.freed || n < 0 && s.refused
	switch has := s.clients[client] + n; {
	case has == 0:
		delete(s.clients, client)
	case s.clients == nil:
		s.clients = map[string]int64{client: has}
	default:
		s.clients[client] = has
	}
}

// takeFile counts a file for the body of x, or notes that x waits for one.
func (x *Exchange) takeFile() bool {
	files, client := &x.s.files, x.s.Host.Account(x)
	x.awaitsFile = files.Room(client) < 1
	if x.awaitsFile {
		files.refused = true
		return false
	}
	files.Add(client, 1)
	x.hasFile, x.fileOf = true, client
	return true
}

// giveFile counts it no longer, if there is one.
func (x *Exchange) giveFile() {
	if x.hasFile {
		x.hasFile = false
		x.s.files.Add(x.fileOf, -1)
	}
}

// EaseBodies lets bodies go on that have waited for a file, if there is one now.
func (s *Server) EaseBodies() {
	files := &s.files
	if !files.freed {
		return
	}
	files.freed, files.refused = false, false
	for _, x := range s.exchanges.all {
		if x.awaitsFile && x.Carrier != nil {
			x.Carrier.Credited(x, 0, true)
			files.refused = files.refused || x.awaitsFile
		}
	}
}
