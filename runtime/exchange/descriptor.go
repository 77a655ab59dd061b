package exchange

import (
	"fmt"
	"time"

	"fapws/runtime/http1"
	"fapws/runtime/logfile"
)

// An HTTP/2 connection carries many requests, and each of them may need an additional descriptor, for example for a
// file, a connection to an upstream, or a pipe to a program. Server.descriptors counts these descriptors together with
// all open connections. The descriptors of HTTP/1 requests are not counted, because --max-clients already limits the
// HTTP/1 connections.

// fewDescriptors is the number of descriptors that the streams of a client can always have, even above the client's
// share.
const fewDescriptors = 8

// HoldDescriptor reserves a descriptor for x, in addition to the descriptor of the connection, until x ends.
// HoldDescriptor reports whether x may use a descriptor.
func (x *Exchange) HoldDescriptor() bool {
	// an exchange made by Sub has no Version, and uses the claim of its parent exchange
	if x.descriptor.shares != nil || x.Version != http1.HTTP2 {
		return true
	}
	all, client := &x.s.descriptors, x.Account()
	if x.s.roomForStreams(client) < 1 {
		return false
	}
	x.descriptor.take(all, client)
	x.until = 0
	return true
}

func (s *Server) roomForStreams(client string) int64 {
	return max(s.descriptors.Room(client), fewDescriptors-s.descriptors.Of(client))
}

// AwaitDescriptor suspends x until its client may use one more descriptor. After a timeout, AwaitDescriptor rejects x.
// The routing of x must not be complete.
func (x *Exchange) AwaitDescriptor() {
	now, timeout := x.s.Set.Now, 2*int64(x.s.Config.BodyTimeout)
	switch {
	case x.until == 0:
		x.until = now + timeout
	case now >= x.until:
		x.Refuse(x.NoDescriptor())
		return
	}
	x.s.descriptors.Awaited = true
	x.suspend(forDescriptor)
}

// NoDescriptor logs that the client of x has reached its limit of descriptors, and returns the reply to the request.
func (x *Exchange) NoDescriptor() Reply {
	if s := x.s; s.descriptorWarnings.Once(time.Minute) {
		x.Log(logfile.Warning, fmt.Sprintf("sent 503: requests over HTTP/2 hold too many files and connections "+
			"(at most a third of %d for one address); raise the limit of open files (ulimit -n, LimitNOFILE "+
			"of systemd)",
			s.descriptors.Max))
	}
	return Reply{Status: 503, Text: "too many active requests", Fields: RetryAfter}
}

// easeDescriptors resumes the exchanges that wait for a descriptor and can now get one, and tells the loop to accept
// connections again.
func (s *Server) easeDescriptors() {
	room := map[string]int64{}
	for _, x := range s.exchanges {
		if x.wait != forDescriptor {
			continue
		}
		client := x.Account()
		left, known := room[client]
		if !known {
			left = s.roomForStreams(client)
		}
		if room[client] = left - 1; left > 0 {
			x.Resume()
		} else {
			s.descriptors.Awaited = true
		}
	}
	s.loop.Freed()
}

// Opened adds n, which may be negative, to the number of open connections.
func (s *Server) Opened(n int64) { s.descriptors.Add("", n) }

// HasRoom reports whether a descriptor for a new connection is free. If HasRoom returns false, Loop.Freed is called
// when a descriptor may be free.
func (s *Server) HasRoom() bool {
	free := s.descriptors.Room("") > 0
	s.descriptors.Awaited = s.descriptors.Awaited || !free
	return free
}
