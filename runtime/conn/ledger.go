package conn

// Ledger counts the bytes that wait in memory for clients, over all connections of each. The owner of the connections names
// clients as it likes. Its methods must be called on the loop.
type Ledger struct {
	Max      int64                            // bytes that may wait for a client
	Exceeded func(client string, bytes int64) // called when more than Max waits for a client from now on

	total   int64               // of all clients
	over    int                 // clients for which more than Max waits
	clients map[string]*backlog // those for which something waits
	eased   bool                // less waits for a client for which more than Max was waiting
}

// backlog is the bytes that wait for a client.
type backlog struct {
	sending int64 // being written
	queued  int64 // behind an earlier answer on the same connection
}

func (b *backlog) sum() int64 { return b.sending + b.queued }

// Add adds to the bytes that wait for a client: those that are being written to it, and those that are queued behind them.
// Either may be negative.
func (u *Ledger) Add(client string, sending, queued int64) {
	b := u.clients[client]
	if b == nil {
		if u.clients == nil {
			u.clients = make(map[string]*backlog)
		}
		b = new(backlog)
		u.clients[client] = b
	}
	was := *b
	b.sending += sending
	b.queued += queued
	u.total += b.sum() - was.sum()
	if b.sum() == 0 {
		delete(u.clients, client)
	}
	before, after := was.sum() > u.Max, b.sum() > u.Max
	switch {
	case after && !before:
		u.over++
		u.Exceeded(client, b.sum())
	case before && !after:
		u.over--
		u.eased = true
	case was.sending > u.Max && b.sending <= u.Max:
		u.eased = true
	}
}

// Total returns how many bytes wait for all clients.
func (u *Ledger) Total() int64 { return u.total }

// AnyOver reports whether more than Max waits for any client. Over need not be asked otherwise.
func (u *Ledger) AnyOver() bool { return u.over > 0 }

// Over reports whether more than Max waits for a client. first: only bytes that are being written count, as the answer in
// question is the first of its connection and must not wait for itself.
func (u *Ledger) Over(client string, first bool) bool {
	b := u.clients[client]
	return b != nil && (b.sending > u.Max || !first && b.sum() > u.Max)
}

// Eased reports whether Over may have changed from true to false for a client since the last call.
func (u *Ledger) Eased() bool {
	eased := u.eased
	u.eased = false
	return eased
}
