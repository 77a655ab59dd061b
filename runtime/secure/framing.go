package secure

// framing follows the records that crypto/tls is given (RFC 8446 §5.1), in order to know when it has used all of them: to ask it for more, and to
// be told that there is nothing, costs a tenth of what reading a small record does.
type framing struct {
	head  [recordHeader]byte // of the next record, as far as it has come: head[:have]
	have  uint8
	left  uint16 // bytes that the last record still needs
	begun uint16 // records that have begun since crypto/tls had none; it counts up to mostBegun
}

const mostBegun = 2 // more make no difference

// follow takes the bytes that crypto/tls is given.
func (f *framing) follow(b []byte) {
	for len(b) > 0 {
		if f.left > 0 {
			n := min(int(f.left), len(b))
			f.left -= uint16(n)
			b = b[n:]
			continue
		}
		if f.have == 0 {
			f.begun = min(f.begun+1, mostBegun)
		}
		n := copy(f.head[f.have:], b)
		f.have += uint8(n)
		b = b[n:]
		if f.have == recordHeader {
			f.have, f.left = 0, uint16(f.head[3])<<8|uint16(f.head[4])
		}
	}
}

// isOne reports whether crypto/tls has had no more than one record, and that one is whole.
func (f *framing) isOne() bool { return f.begun == 1 && f.left == 0 && f.have == 0 }

// used is called when crypto/tls has used everything, except for the beginning of a record.
func (f *framing) used() {
	f.begun = 0
	if f.left > 0 || f.have > 0 {
		f.begun = 1
	}
}
