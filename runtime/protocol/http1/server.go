package http1

import (
	"fapws/runtime/conn"
	"fapws/runtime/eventloop"
	"fapws/runtime/loglevel"
	"fapws/runtime/protocol/http"
)

// Server is what connections of HTTP/1 share. It belongs to the event loop.
type Server struct {
	*http.Server

	rest  []byte      // input behind the head of the exchange that is being decided about
	bulk  []byte      // memory of readOn; nil: it was not needed yet
	items []conn.Item // memory of sendFile
}

// tick is how exact deadlines are, in nanoseconds.
const tick = eventloop.Tick

// Trim gives memory back when no client is connected.
func (s *Server) Trim() { s.bulk = nil }

func (s *Server) tracef(format string, args ...any) { s.Set.Log(loglevel.Debug, format, args...) }
