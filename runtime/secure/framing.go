package secure

// framing follows the records that crypto/tls is given (RFC 8446 §5.1), so that it is given one at a time: its buffer for input, which a connection
// keeps, grows to several records otherwise.
type framing struct {
	head [recordHeader]byte // of the next record, as far as it was given: head[:have]
	have uint8
	left uint16 // bytes of the last record that are missing
}

// limit returns how many bytes may be given, of which next are there: no more than the rest of a record.
func (f *framing) limit(next []byte) int {
	switch {
	case f.left > 0:
		return int(f.left)
	case f.have == 0 && len(next) >= recordHeader:
		return recordHeader + recordSize(next)
	}
	return recordHeader - int(f.have)
}

// follow takes the next bytes that crypto/tls is given, within their limit.
func (f *framing) follow(b []byte) {
	if f.left > 0 {
		f.left -= uint16(len(b))
		return
	}
	n := copy(f.head[f.have:], b)
	if f.have += uint8(n); f.have == recordHeader {
		f.have, f.left = 0, uint16(recordSize(f.head[:])-(len(b)-n))
	}
}

// recordSize returns the size of a record behind its header.
func recordSize(header []byte) int { return int(header[3])<<8 | int(header[4]) }
