package exchange

import "fapws/runtime/system"

// A Region is memory outside of Go's heap that contains a collected body, so that a handler can read the body where it
// has arrived. The Region counts in Server.InputMemory until Release. It belongs to its exchange until TakeRegion: a
// handler can still read the body after its exchange has ended, because the client got 504.
type Region struct {
	s      *Server
	data   []byte // nil if there is none
	client string // key of the client in Server.InputMemory
	// number of bytes that are counted in Server.InputMemory
	counted int64
}

// heapBody is the size up to which a collected body is in Go's heap instead of a region, in bytes.
const heapBody = 64 << 10

// Trim returns the memory that is kept for later regions to the kernel.
func (s *Server) Trim() { s.Regions.Trim() }

// reserve gives x a region of at least n bytes, or enlarges the region, and reports whether the client's share of memory
// permits that.
func (x *Exchange) reserve(client string, n int) bool {
	s, r := x.s, &x.region
	n = system.RoundRegion(n)
	more := int64(n - len(r.data))
	if !s.InputMemory.Fits(client, more) {
		return false
	}
	data := s.Regions.Take(r.data, n)
	if data == nil {
		return false
	}
	r.s, r.data, r.client = s, data, client
	r.counted += more
	s.InputMemory.Add(client, more)
	return true
}

// TakeRegion returns the Region with the body of x. The Region is empty if x has no body in a Region. The caller must
// release it.
func (x *Exchange) TakeRegion() Region {
	r := x.region
	x.region = Region{}
	return r
}

// Recount returns a Region without memory, which counts what r has counted, for a copy of the body in Go's heap.
func (r *Region) Recount() Region {
	copied := *r
	copied.data, r.counted = nil, 0
	return copied
}

// Release makes the memory of r free for later bodies.
func (r Region) Release() {
	if r.counted != 0 {
		r.s.InputMemory.Add(r.client, -r.counted)
	}
	if r.data != nil {
		r.s.Regions.Give(r.data)
	}
}
