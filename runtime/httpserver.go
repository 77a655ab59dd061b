package runtime

import (
	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	protocol "fapws/runtime/protocol/http1"
)

// httpHost is the server of which connections of HTTP/1 are a part. Its methods are called on the event loop.
type httpHost interface {
	// Request returns memory for the next request, with Parsed. It is the same again until an exchange was made of it.
	Request() *exchange.Request

	// Decide finds out what answers x, whose Req has a head, and begins that. It may suspend x, which goes on with Resume.
	Decide(x *Exchange)
	Resume(x *Exchange)

	// Keep makes Req of x last: it must not refer to input of its connection any more.
	Keep(x *Exchange)
}

// httpServer is what connections of HTTP/1 share. It belongs to the loop.
type httpServer struct {
	host      httpHost
	limits    *http1.Limits
	set       *conn.Set
	exchanges exchangeTable // all exchanges
	heads     protocol.Heads
	rest      []byte      // input behind the head of the exchange that is being decided about
	bulk      []byte      // memory of readOn; nil: it was not needed yet
	items     []conn.Item // memory of sendFile

	keepAlive int64 // nanoseconds that a connection may be idle
	leaving   bool  // no connection comes any more: responses say that theirs closes
	draining  bool  // leaving, and connections close that wait for nothing
}

const serverName = "fapws"

func (s *httpServer) init(host httpHost, set *conn.Set, limits *http1.Limits) {
	s.host, s.set, s.limits = host, set, limits
	s.heads.Init(serverName, set.Start().Unix())
}
