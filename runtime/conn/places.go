package conn

import "time"

const (
	// defaultMost is how many handshakes may be under way. Nearly all of them wait for their clients.
	defaultMost = 1024

	// leastTime is how long a handshake may take at least.
	leastTime = int64(time.Second)
)

// Room reports whether another connection may begin with a handshake. Others are to stay in the queue of their listener until Freed is called: at the
// latest when one of the handshakes times out.
func (s *TLSServer) Room() bool { return s.handshakes.n < s.most }

// MakeRoom is Room for a connection in the queue: for it the handshake that has waited longest for its client is cut off, if it is older than a
// second.
func (s *TLSServer) MakeRoom() bool {
	if !s.Room() && s.ending == 0 { // else a place becomes free at once
		s.cutOff()
	}
	return s.Room()
}

// cutOff ends the handshake that has waited longest for its client.
func (s *TLSServer) cutOff() {
	for h := s.handshakes.first; h != nil && s.set.Now()-h.c.Stamp >= leastTime; h = h.behind {
		if h.isIdle() {
			h.count(displaced)
			h.c.Close("another TLS handshake needs its place")
			return
		}
	}
}

// isIdle reports whether h waits for its client.
func (h *Handshake) isIdle() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stage == collecting || h.stage == running && h.idle
}

// place gives h a place.
func (h *Handshake) place() {
	h.placed = true
	h.s.handshakes.add(h)
}

// leave gives the place of h to another one.
func (h *Handshake) leave() {
	s := h.s
	if !h.placed {
		return
	}
	h.placed = false
	s.handshakes.remove(h)
	if s.handshakes.n == s.most-1 {
		s.Freed()
	}
}

// list is handshakes in the order in which they were added.
type list struct {
	first, last *Handshake
	n           int
}

func (l *list) add(h *Handshake) {
	h.before, h.behind = l.last, nil
	if l.last == nil {
		l.first = h
	} else {
		l.last.behind = h
	}
	l.last = h
	l.n++
}

func (l *list) remove(h *Handshake) {
	if h.before == nil {
		l.first = h.behind
	} else {
		h.before.behind = h.behind
	}
	if h.behind == nil {
		l.last = h.before
	} else {
		h.behind.before = h.before
	}
	h.before, h.behind = nil, nil
	l.n--
}
