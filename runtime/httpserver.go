package runtime

import (
	"fapws/runtime/conn"
	"fapws/runtime/http1"
)

// httpServer is what connections of HTTP/1 share. It belongs to the loop.
type httpServer struct {
	set       *conn.Set
	exchanges exchangeTable // all exchanges
	heads     headWriter
	request   *request    // memory for the next request: see request
	rest      []byte      // input behind the head of the exchange that is being decided about
	bulk      []byte      // memory of readOn; nil: it was not needed yet
	items     []conn.Item // memory of sendFile

	keepAlive int64 // nanoseconds that a connection may be idle
	leaving   bool  // no connection comes any more: responses say that theirs closes
	draining  bool  // leaving, and connections close that wait for nothing
}

const serverName = "fapws"

func (s *httpServer) init(set *conn.Set) {
	s.set = set
	s.heads.template = http1.NewTemplate(serverName, set.Start().Unix())
	s.request = newRequest()
}
