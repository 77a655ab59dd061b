package exchange

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/logfile"
	"fapws/runtime/system"
)

// Body is the body of a request that is arriving. The handler hears of the request when it is whole, so that a slow client never holds
// an application, or, where Mount.Streams, at once.
type Body struct {
	X        *Exchange // whose body it is; nil: nothing takes the rest any more
	Streamed bool      // it is delivered to X as it arrives; else it is collected
	Expects  bool      // the client waits for 100 Continue before it sends it, if streamed

	max    int64 // bytes that it may have; below 0: any number
	size   int64 // bytes that have arrived
	begun  int64 // time of its first byte; later by as long as it was not read
	Paused bool  // it is not read, which is not the fault of its client
	paused int64 // time of the last Pause

	data  []byte // the stored bytes, until they are too long for memory
	spool int    // descriptor of the file with all of it, or -1
}

// CollectedBody is the default limit of a body that is collected for an application, in bytes. Where bodies are stored,
// such a body may also have a quarter of the free space at most.
const CollectedBody = 1 << 30

// usualBody is the default limit of other bodies, in bytes. Free space matters only to longer ones.
const usualBody = 10 << 20

// errTooLarge is the error of a body that exceeds Body.max, errNoRoom that of a body that exceeds its share of free space.
var (
	errTooLarge = errors.New("input body too big")
	errNoRoom   = errors.New("not enough free space for the request body")
)

// admits returns nil if a body of size bytes may go on to arrive, errTooLarge or errNoRoom.
func (s *Server) admits(size, max int64) error {
	switch {
	case TooLarge(size, max):
		return errTooLarge
	case max != CollectedBody || size <= usualBody:
		return nil
	}
	if free, ok := system.FreeSpace(s.Config.SpoolDir); ok && !hasRoom(free, size) {
		return errNoRoom
	}
	return nil
}

// hasRoom reports whether a body of size bytes has at most its share of the free space.
func hasRoom(free, size int64) bool { return size <= free/4 }

// Admits reports whether a body of size bytes may arrive for x, which is being decided about. Otherwise it refuses x.
func (x *Exchange) Admits(size int64) bool {
	err := x.s.admits(size, x.MaxBody)
	if err != nil {
		x.Refuse(x.s.refused(err, size, x.MaxBody))
	}
	return err == nil
}

// TooLarge reports whether a body of size bytes has more than max. It may have any number if max is below 0.
func TooLarge(size, max int64) bool { return size > max && max >= 0 }

// Begin makes b the body of x, which may have up to max bytes (below 0: any number) and begins at the time now.
func (b *Body) Begin(max, now int64) { *b = Body{max: max, begun: now, spool: -1} }

// Collect has b, which has begun, collected for x, which is being decided about.
func (b *Body) Collect(x *Exchange) {
	x.req.keep()
	x.enter(receiving, nothing)
	b.X, x.body = x, b
}

// Stream has b, which has begun, delivered to x as it arrives.
func (b *Body) Stream(x *Exchange) { b.X, b.Streamed, x.body = x, true, b }

// Arrived says that nothing waits for more of b.
func (b *Body) Arrived() {
	if x := b.X; x != nil && x.body == b {
		x.body = nil
	}
}

// End puts b, which is whole and was collected, into the request of its exchange, which is to be submitted.
func (b *Body) End() {
	b.Arrived()
	r := b.X.Req
	b.X.awaitsFile = false
	r.Size = b.size
	r.Body, r.Spool = b.stored()
}

// Size returns how many bytes have arrived.
func (b *Body) Size() int64 { return b.size }

// Count adds n bytes to those that have arrived. At least coming more are announced. The error is errTooLarge.
func (b *Body) Count(n int, coming int64) error {
	b.size += int64(n)
	if least := b.size + coming; least < 0 || TooLarge(least, b.max) {
		return errTooLarge
	}
	return nil
}

// Store keeps a piece that was counted: in memory or, once more than memory bytes have arrived, in a file, as Spill does. The error is of the
// file system.
func (b *Body) Store(piece []byte, memory int) error {
	if b.spool >= 0 {
		const look = 1 << 20 // bytes between two looks at free space
		if before := b.size - int64(len(piece)); before/look != b.size/look {
			// The part of b that was written is free no longer.
			if err := b.X.s.admits(b.size-before, b.max); err != nil {
				return err
			}
		}
		return writeAll(b.spool, piece)
	}
	b.data = append(b.data, piece...) // never by what the client announced
	if b.size <= int64(memory) {
		return nil
	}
	return b.Spill()
}

// Spill moves b from memory to a file without a name. While its client has as many files as it may have, b waits: nothing more should be read. The
// error is of the file system.
func (b *Body) Spill() (err error) {
	x := b.X
	if !x.takeFile() {
		return nil
	}
	if b.spool, err = system.UnnamedFile(x.s.Config.SpoolDir); err != nil {
		x.giveFile()
		return err
	}
	data := b.data
	b.data = nil
	return writeAll(b.spool, data)
}

// Waits reports whether b waits for a file. Then Stream.Read is called when there may be one.
func (b *Body) Waits() bool { return b.X != nil && b.X.awaitsFile }

// InFile reports whether b is in a file.
func (b *Body) InFile() bool { return b.spool >= 0 }

// InMemory returns how many bytes of the stored body are in memory.
func (b *Body) InMemory() int { return len(b.data) }

// stored returns the body, in memory or in a file that belongs to the caller. spool is -1 if there is none.
func (b *Body) stored() (data []byte, spool int) {
	data, spool = b.data, b.spool
	b.data, b.spool = nil, -1
	return data, spool
}

// Drop gives the stored body up.
func (b *Body) Drop() {
	if _, spool := b.stored(); spool >= 0 {
		unix.Close(spool)
		b.X.giveFile()
	}
	if b.X != nil {
		b.X.awaitsFile = false
		b.Arrived()
	}
}

// Asked says that the client, which waits for 100 Continue, gets that at the time now.
func (b *Body) Asked(now int64) { b.Expects, b.begun = false, now }

// Pause says that b is not read from the time now on.
func (b *Body) Pause(now int64) { b.Paused, b.paused = true, now }

// Resume ends what Pause began.
func (b *Body) Resume(now int64) {
	b.begun += now - b.paused
	b.Paused = false
}

// TooSlow reports whether b, once the timeout has passed, has arrived at less than rate bytes per second.
func (b *Body) TooSlow(now int64, timeout time.Duration, rate int64) bool {
	age := now - b.begun
	return age > int64(timeout) && float64(b.size) < float64(rate)*float64(age)/1e9
}

// WaitsUntil returns until when b, which is paused, may wait for a file: longer than bodies that do not arrive any more have theirs.
func (b *Body) WaitsUntil(timeout time.Duration) int64 { return b.paused + 2*int64(timeout) }

// TimedOut returns what the client gets for a body that has not arrived in time.
func (b *Body) TimedOut() Reply {
	if b.Waits() {
		if s := b.X.s; s.spoolWarnings.Once(time.Minute) {
			b.X.Log(logfile.Warning, fmt.Sprintf("sent 503: too many request bodies wait in files (at most %d of all clients, a third of them of one address); "+
				"raise the limit of open files (ulimit -n, LimitNOFILE of systemd)", s.files.Max))
		}
		return Reply{Status: 503, Text: "too many unfinished request bodies", Close: true}
	}
	return Reply{Status: 408, Text: "timed out waiting for the request body", Close: true}
}

// writeAll writes to a regular file. The event loop calls it: the bytes go to the kernel's page cache, which takes about as long as
// a copy.
func writeAll(fd int, data []byte) error {
	for len(data) > 0 {
		n, err := unix.Write(fd, data)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// Pieces of bodies, and messages, wait in memory until the application takes
// them. Their bytes are counted for each exchange, and beyond
// InputWindow its client is stopped until the handler
// has given credit for half of it. So the memory for a client is bounded.

// Deliver hands input over to the source of x, if it has one.
func (x *Exchange) Deliver(in Input) {
	if x.Source != nil {
		x.Source.Input(x, in)
	}
}

// Feed is Deliver for a piece of a body, which the handler has to give credit for. enough reports whether it should get no more before that.
func (x *Exchange) Feed(piece []byte, last bool) (enough bool) {
	x.Received += int64(len(piece))
	x.Deliver(Input{Data: piece, Last: last})
	return x.given.Add(piece) && !last
}

// Given returns how many bytes of input the source of x has, and has not given back.
func (x *Exchange) Given() int64 { return int64(x.given) }

// Takes reports whether the source of x should get more input.
func (x *Exchange) Takes() bool { return x.given < InputWindow/2 }

// Shares divides what requests need among the clients: descriptors, or memory. A client may take half of the free
// amount, so one client gets a third of Max, two get a quarter each, and some is left for the next client. Clients without a known
// address, "", may take the whole free amount.
type Shares struct {
	Max int64 // of all clients

	used    int64
	clients map[string]int64
	refused bool   // a client waits for more
	eases   func() // is called when there is more since then; nil: nothing is
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
	if n < 0 && s.refused && s.eases != nil {
		s.refused = false
		s.eases()
	}
	switch has := s.clients[client] + n; {
	case client == "":
	case has == 0:
		delete(s.clients, client)
	case s.clients == nil:
		s.clients = map[string]int64{client: has}
	default:
		s.clients[client] = has
	}
}

// InputMemory returns what divides the memory for input of clients: for bodies of HTTP/1, and for large messages of WebSockets.
func (s *Server) InputMemory() *Shares { return &s.memory }

// Account returns the name under which Shares count the client of x; "": they do not.
func (x *Exchange) Account() string {
	return accountOf(cmp.Or(x.peer, x.from, x.client.direct()))
}

// takeFile counts a file for the body of x, or notes that x waits for one.
func (x *Exchange) takeFile() bool {
	files, client := &x.s.files, accountOf(x.peer)
	x.awaitsFile = files.Room(client) < 1
	if x.awaitsFile {
		files.refused = true
		return false
	}
	files.Add(client, 1)
	x.hasFile, x.account = true, client
	return true
}

// giveFile counts it no longer, if there is one.
func (x *Exchange) giveFile() {
	if x.hasFile {
		x.hasFile = false
		x.s.files.Add(x.account, -1)
	}
}

// easeBodies resumes the bodies that have waited for a file.
func (s *Server) easeBodies() {
	files := &s.files
	for _, x := range s.exchanges {
		if x.awaitsFile && x.Stream != nil {
			x.Stream.Read(x)
			files.refused = files.refused || x.awaitsFile
		}
	}
}
