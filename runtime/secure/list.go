package secure

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
