package exchange

import "fapws/runtime/loglevel"

// Exchange is one request with its response, from the head of the request on. It belongs to the event loop, and its memory
// is used again when it has ended: only its Source and its Sink may keep a pointer to it, until then.
type Exchange struct {
	Req    *Request // what is asked for, until Start returns or, with Server.Beside, later
	Prefix string   // what a proxy has taken off the path of the client, which the request does not have: "" or "/a/b"
	Sink   Sink
	Server Server
	By     string // what answers, as access logs call it: "application", "files" or ""
	Source Source // answers the exchange; another one may take over until the head of the response is sent
	Fields []byte // "Name: value\r\n" ... that the head of the response has behind its own; not if it is made by Sink.Reply
}

// Source answers exchanges. A source that has to remember something of an exchange puts a value of its own, which it uses
// again, in the place of Exchange.Source. All methods are called on the event loop and must not block.
type Source interface {
	// Start begins to answer x, now or later.
	Start(x *Exchange)

	// OnRoom is called when all of x that had to wait has been written to its client.
	OnRoom(x *Exchange)

	// OnGone is called when nothing of the response is wanted any more, unless its last part was sent before. The source
	// still sends the last part, at once or later.
	OnGone(x *Exchange)
}

// Receiver is a Source that takes more than the request.
type Receiver interface {
	Source

	// Input hands over the next input of x: the next piece of its body, or a message of its WebSocket. It cannot fail; data
	// beyond InputWindow that the source has not given back by Server.Credit is not read from the client.
	Input(x *Exchange, in Input)
}

// Pacer is a Source that need not begin to make a response while too much waits on its connection: see Server.Deferred.
type Pacer interface {
	Source

	// Resume has the source begin to make the response of x, for which it has called Server.Deferred.
	Resume(x *Exchange)
}

// Optional is a Source that may have nothing for a path.
type Optional interface {
	Source

	// Declines reports whether the source calls Server.Decline then. It is safe for concurrent use.
	Declines() bool
}

// Memory is embedded by sources that send the whole response in Start. As a source of its own it stands for a response that
// has been sent.
type Memory struct{}

// Start implements Source.
func (Memory) Start(*Exchange) {}

// OnRoom implements Source.
func (Memory) OnRoom(*Exchange) {}

// OnGone implements Source.
func (Memory) OnGone(*Exchange) {}

// Sink takes the response of one exchange: the connection of its client, or what changes the response on its way there.
// All methods must be called on the event loop. None blocks.
type Sink interface {
	// Send takes the next part of the response, which p.Owner gets back when its bytes are not needed any more. The sink
	// keeps what the client cannot take yet. p itself may be used again when Send returns; the exchange has ended then if
	// the part is the Last.
	Send(p *Part)

	// Reply answers the exchange in the place of its source, before the first part, with r or with the page that its site has
	// for the status.
	Reply(r Reply)
}

// Server is what a source can ask of the server that has made an exchange. All methods must be called on the event loop.
type Server interface {
	// InTurn reports whether the response is the next one that the client is to be sent, and nothing before it waits for the
	// client. Then Sink.Send uses no memory of a part without an Owner after it has returned, but for its Body.
	InTurn() bool

	// AwaitTurn has Source.Start called again as soon as InTurn.
	AwaitTurn()

	// Keep has Req stay as it is until the exchange ends.
	Keep()

	// WaitsForClient reports whether the response cannot go on before the client has read or sent something.
	WaitsForClient() bool

	// Deferred says that the source, a Pacer, does not begin to make the response until it is told to.
	Deferred()

	// Credit says that the source, a Receiver, has dealt with n bytes of input, counted as InputCost says.
	Credit(n int64)

	// HasPage reports whether the site has a page of its own for the status of an error.
	HasPage(status int) bool

	// Beside runs work on a goroutine, and then done on the loop. Until then Req stays as it is, and what follows the exchange
	// on its connection is not looked at. gone reports whether its client has left: then the exchange ends with done.
	Beside(work func(), done func(gone bool))

	// Decline has routing go on, before the first part: behind the mount, or, if index is not empty, with that name appended to
	// the path, which is that of a directory. It reports false, and does nothing, if the path has got an index before.
	Decline(index string) bool

	// Wall returns the time in nanoseconds since 1970, up to half a second late.
	Wall() int64

	// Log writes a line about the client to the error log of its site.
	Log(level loglevel.Level, line string)

	// NoteFile keeps the name of the file that the request means, for the access log: root and path together.
	NoteFile(root string, path []byte)
}

// Reply is a whole response that is made in memory. The zero value of each field but Status is ready.
type Reply struct {
	Status   int
	Text     string // empty: the status's phrase
	Body     []byte // instead of a page with text
	Type     string // Content-Type of Body
	Fields   []byte // "Name: value\r\n" ...
	Date     bool   // Fields has Date
	Server   bool   // Fields has Server
	Whole    bool   // Body is not to be replaced by a page of the site
	HTML     bool   // the client is a browser
	Override bool   // its browser asks again and again: log lines leave it out
	Close    bool   // what follows in the connection cannot be understood
}
