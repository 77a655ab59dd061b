package exchange

import (
	"fmt"
	"time"

	"fapws/runtime/http1"
	"fapws/runtime/logfile"
)

// A connection of HTTP/2 carries many requests, and each may need a second descriptor: a file, a connection to an
// upstream, a pipe to a program. Server.descriptors counts these descriptors together with all open connections. A
// request of HTTP/1 needs no share: its connection counts for --max-clients.

// fewDescriptors is how many descriptors the streams of a client may always have.
const fewDescriptors = 8

// HoldDescriptor reserves a descriptor for x, in addition to the descriptor of the connection, until x ends.
// HoldDescriptor reports whether x may use a descriptor.
func (x *Exchange) HoldDescriptor() bool {
	// an exchange made by Sub has no Version, and uses the claim of its parent
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

// AwaitDescriptor suspends x until its client may have another descriptor. AwaitDescriptor refuses x after a timeout.
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

// NoDescriptor logs that the client of x has reached its limit of descriptors, and returns the reply.
func (x *Exchange) NoDescriptor() Reply {
	if s := x.s; s.descriptorWarnings.Once(time.Minute) {
		x.Log(logfile.Warning, fmt.Sprintf("sent 503: requests over HTTP/2 hold too many files and connections "+
			"(at most a third of %d for one address); raise the limit of open files (ulimit -n, LimitNOFILE "+
			"of systemd)",
			s.descriptors.Max))
	}
	return Reply{Status: 503, Text: "too many active requests", Fields: RetryAfter}
}

// easeDescriptors resumes exchanges that wait for a descriptor and may now use one, and tells the loop to accept
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

// Opened counts n more open connections; n may be negative.
func (s *Server) Opened(n int64) { s.descriptors.Add("", n) }

// HasRoom reports whether a descriptor for another connection is free. If not, Loop.Freed is called when a descriptor
// may be free.
func (s *Server) HasRoom() bool {
	free := s.descriptors.Room("") > 0
	s.descriptors.Awaited = s.descriptors.Awaited || !free
	return free
}
