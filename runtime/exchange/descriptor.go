package exchange

import (
	"fmt"
	"time"

	"fapws/runtime/conn"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
)

// Descriptors counts the connections and the descriptors that requests need for files, upstreams and programs.
type Descriptors struct {
	conn.Shares
	crowded  bool // MakeRoom was called after the last Tick
	warnings logfile.Seldom
}

// fewDescriptors is the number of descriptors that a client's requests may always have, regardless of its share.
const fewDescriptors = 8

func (d *Descriptors) free(client string) int64 {
	room := d.Free(client)
	if client == "" {
		return room
	}
	return max(room, fewDescriptors-d.Held(client))
}

// Opened adds n, which may be negative, to the number of open connections.
func (d *Descriptors) Opened(n int64) { d.Add("", n) }

// HasRoom reports whether a descriptor for a new connection is free. If not, Loop.Freed is called as soon as one is.
func (d *Descriptors) HasRoom() bool {
	free := d.Free("") > 0
	d.Awaited = d.Awaited || !free
	return free
}

// MakeRoom frees connections for new clients. Tick rejects HTTP/1 requests that waited a second for a descriptor.
func (d *Descriptors) MakeRoom() { d.crowded = true }

// HoldDescriptor reserves an additional descriptor until x ends, and reports whether x may use the descriptor.
func (x *Exchange) HoldDescriptor() bool {
	if sub, ok := x.Stream.(*Sub); ok && sub.Parent != nil {
		return sub.Parent.HoldDescriptor()
	}
	// A request keeps its descriptors until its subrequests end, so a subrequest must not wait for a descriptor.
	if x.descriptor.shares != nil || x.client == nil || x.client.Subrequest() {
		return true
	}
	all, client := &x.s.Descriptors, x.Account()
	if all.free(client) < 1 {
		return false
	}
	x.descriptor.take(&all.Shares, client)
	x.until = 0
	return true
}

// AwaitDescriptor suspends x until its client may use one more descriptor, and rejects x after a timeout. The routing
// of x must not be complete. A WebSocket over HTTP/1 is rejected at once, because WebSockets keep their descriptors for
// a long time.
func (x *Exchange) AwaitDescriptor() {
	now, timeout := x.s.Set.Now, 2*int64(x.s.Config.BodyTimeout)
	switch {
	case x.until == 0 && (x.Version.Has(http1.SharesConnection) || !x.req.parsed.Upgrade):
		x.until = now + timeout
	case now >= x.until:
		x.Refuse(x.NoDescriptor())
		return
	}
	x.s.Descriptors.Awaited = true
	x.suspend(forDescriptor)
}

// yields reports whether x, which waits for a descriptor, must stop waiting.
func (x *Exchange) yields() bool {
	s, patience := x.s, int64(0)
	if s.Descriptors.crowded && !x.Version.Has(http1.SharesConnection) {
		patience = 2*int64(s.Config.BodyTimeout) - int64(time.Second)
	}
	return s.Set.Now >= x.until-patience
}

func (x *Exchange) NoDescriptor() Reply {
	if d := &x.s.Descriptors; d.warnings.Once(time.Minute) {
		x.Log(logfile.Warning, fmt.Sprintf("sent 503: active requests hold too many files and connections "+
			"(at most a third of %d for one address); raise the limit of open files (ulimit -n, LimitNOFILE of systemd)",
			d.Max))
	}
	return Reply{Status: 503, Text: "too many active requests", Fields: RetryAfter,
		Close: !x.Version.Has(http1.SharesConnection)}
}

// easeDescriptors resumes exchanges that can now get a descriptor, and tells the loop that it can accept connections.
func (s *Server) easeDescriptors() {
	room := map[string]int64{}
	for _, x := range s.exchanges {
		if x.wait != forDescriptor {
			continue
		}
		client := x.Account()
		left, known := room[client]
		if !known {
			left = s.Descriptors.free(client)
		}
		if room[client] = left - 1; left > 0 {
			x.Resume()
		} else {
			s.Descriptors.Awaited = true
		}
	}
	s.loop.Freed()
}

// A claim is a descriptor that an exchange has taken from Shares; the zero value is no claim.
type claim struct {
	shares *conn.Shares
	client string // key of the client in shares
}

func (c *claim) take(s *conn.Shares, client string) {
	s.Add(client, 1)
	*c = claim{s, client}
}

func (c *claim) release() {
	if s := c.shares; s != nil {
		c.shares = nil
		s.Add(c.client, -1)
	}
}
