package websocket

// MaxWindow is the number of bits of the largest window of deflate.
const MaxWindow = 15

// Compression is the agreed compression: permessage-deflate (RFC 7692) without context takeover on either side, so
// that an idle connection keeps no window.
type Compression struct {
	On     bool
	Bits   uint8 // of the window of the server's messages: 8 to MaxWindow
	Limits bool  // the client has asked for Bits
}

// AppendTo appends the value of Sec-WebSocket-Extensions that accepts it.
func (c Compression) AppendTo(dst []byte) []byte {
	dst = append(dst, "permessage-deflate; server_no_context_takeover; client_no_context_takeover"...)
	if c.Limits {
		dst = append(dst, "; server_max_window_bits="...)
		if c.Bits >= 10 {
			dst = append(dst, '1')
		}
		dst = append(dst, '0'+c.Bits%10)
	}
	return dst
}

// negotiate takes the first offer of permessage-deflate in a value of
// Sec-WebSocket-Extensions that can be accepted; other extensions, and offers with
// parameters that RFC 7692 §7.1 does not allow, are declined. valid: the value has
// the syntax of RFC 6455 §9.1.
func negotiate(value []byte) (c Compression, valid bool) {
	s := scanner{rest: value}
	for {
		name, ok := s.member()
		if !ok {
			return Compression{}, false
		}
		if name == nil {
			return c, true
		}
		offer, good := Compression{On: true, Bits: MaxWindow}, equalFold(name, "permessage-deflate")
		var seen [4]bool
		for {
			name, value, more, ok := s.parameter()
			if !ok {
				return Compression{}, false
			}
			if !more {
				break
			}
			good = good && offer.set(name, value, &seen)
		}
		if good && !c.On {
			c = offer
		}
	}
}

// set takes a parameter of an offer; false: the offer is to be declined. value is
// nil if there was none.
func (c *Compression) set(name, value []byte, seen *[4]bool) bool {
	which := -1
	for i, known := range [...]string{"server_no_context_takeover", "client_no_context_takeover", "server_max_window_bits", "client_max_window_bits"} {
		if equalFold(name, known) {
			which = i
		}
	}
	if which < 0 || seen[which] {
		return false
	}
	seen[which] = true
	switch which {
	case 0, 1:
		return value == nil
	case 2:
		bits := windowBits(value)
		c.Bits, c.Limits = bits, true
		return bits > 0
	}
	// Messages of the client may have any window.
	return value == nil || windowBits(value) > 0
}

// windowBits reads a number from 8 to 15 without leading zeros; 0: it is none.
func windowBits(b []byte) uint8 {
	switch {
	case len(b) == 1 && (b[0] == '8' || b[0] == '9'):
		return b[0] - '0'
	case len(b) == 2 && b[0] == '1' && b[1] >= '0' && b[1] <= '5':
		return 10 + b[1] - '0'
	}
	return 0
}

// scanner reads a list of names with parameters.
type scanner struct {
	rest []byte
	some bool // a member was read
}

// member goes to the next member and returns its name, nil at the end.
func (s *scanner) member() (name []byte, ok bool) {
	s.space()
	if s.some && len(s.rest) > 0 && s.rest[0] != ',' {
		return nil, false
	}
	for len(s.rest) > 0 && (s.rest[0] == ',' || s.rest[0] == ' ' || s.rest[0] == '\t') {
		s.rest = s.rest[1:] // empty members are allowed (RFC 9110 §5.6.1.2)
	}
	if len(s.rest) == 0 {
		return nil, true
	}
	s.some = true
	name = s.token()
	return name, name != nil
}

// parameter reads ";name" or ";name=value" if there is one more.
func (s *scanner) parameter() (name, value []byte, more, ok bool) {
	s.space()
	if len(s.rest) == 0 || s.rest[0] != ';' {
		return nil, nil, false, true
	}
	s.rest = s.rest[1:]
	s.space()
	if name = s.token(); name == nil {
		return nil, nil, false, false
	}
	s.space()
	if len(s.rest) == 0 || s.rest[0] != '=' {
		return name, nil, true, true
	}
	s.rest = s.rest[1:]
	s.space()
	if len(s.rest) > 0 && s.rest[0] == '"' {
		value, ok = s.quoted()
		return name, value, true, ok
	}
	value = s.token()
	return name, value, true, value != nil
}

func (s *scanner) space() {
	for len(s.rest) > 0 && (s.rest[0] == ' ' || s.rest[0] == '\t') {
		s.rest = s.rest[1:]
	}
}

// token returns the token that comes next, nil if none does.
func (s *scanner) token() []byte {
	n := 0
	for n < len(s.rest) && isToken(s.rest[n]) {
		n++
	}
	if n == 0 {
		return nil
	}
	t := s.rest[:n:n]
	s.rest = s.rest[n:]
	return t
}

// quoted reads a quoted string, whose content has to be a token (RFC 6455 §9.1).
func (s *scanner) quoted() (value []byte, ok bool) {
	b := s.rest[1:]
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			s.rest = b[i+1:]
			return value, len(value) > 0
		case '\\':
			i++
			if i == len(b) {
				return nil, false
			}
		}
		if !isToken(b[i]) {
			return nil, false
		}
		value = append(value, b[i])
	}
	return nil, false
}

func isToken(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return true
	}
	switch c {
	case '!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~':
		return true
	}
	return false
}

// IsToken says whether b is a token (RFC 9110 §5.6.2), as a subprotocol has to be.
func IsToken(b []byte) bool {
	for _, c := range b {
		if !isToken(c) {
			return false
		}
	}
	return len(b) > 0
}

// equalFold compares with a name in lower case, without regard to case in ASCII.
func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
