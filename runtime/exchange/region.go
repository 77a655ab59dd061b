package exchange

import "golang.org/x/sys/unix"

// A Region is memory outside of Go's heap that contains a collected body, so that a handler can read the body where it
// has arrived. The Region counts in Server.InputMemory until Release. It belongs to its exchange until TakeRegion: a
// handler can still read the body after its exchange has ended, because the client got 504.
type Region struct {
	s      *Server
	data   []byte // nil if there is none
	client string // key of the client in Server.InputMemory
}

const (
	// heapBody is the size up to which a collected body is in Go's heap instead of a region, in bytes.
	heapBody = 64 << 10

	// regionUnit divides the size of each region, in bytes.
	regionUnit = 64 << 10

	// maxSpare limits the memory that the server keeps for later regions, in bytes.
	maxSpare = 8 << 20
)

// regions makes regions from the memory of earlier regions, because the kernel clears each new page.
type regions struct {
	spare [][]byte
	size  int // size of the memory in spare, in bytes
}

// take returns memory of n bytes, or nil if the kernel has none. It begins with the first len(old) bytes of old, which
// is nil or the result of an earlier call.
func (r *regions) take(old []byte, n int) []byte {
	spare := len(r.spare) - 1
	reuses := old == nil && spare >= 0
	if reuses {
		old, r.spare = r.spare[spare], r.spare[:spare]
		r.size -= len(old)
	}
	var data []byte
	var err error
	switch {
	case old == nil:
		data, err = unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	case len(old) == n:
		return old
	default:
		data, err = unix.Mremap(old, n, unix.MREMAP_MAYMOVE)
	}
	if err != nil {
		if reuses {
			r.give(old)
		}
		return nil
	}
	return data
}

func (r *regions) give(data []byte) {
	if r.size+len(data) > maxSpare {
		unix.Munmap(data)
		return
	}
	r.spare = append(r.spare, data)
	r.size += len(data)
}

// Trim returns the memory that is kept for later bodies to the kernel.
func (s *Server) Trim() {
	for _, data := range s.regions.spare {
		unix.Munmap(data)
	}
	s.regions = regions{}
}

// reserve gives x a region of at least n bytes, or enlarges the region, and reports whether the client's share of memory
// permits that.
func (x *Exchange) reserve(client string, n int) bool {
	s, r := x.s, &x.region
	n = (n + regionUnit - 1) / regionUnit * regionUnit
	more := int64(n - len(r.data))
	if !s.InputMemory.Fits(client, more) {
		return false
	}
	data := s.regions.take(r.data, n)
	if data == nil {
		return false
	}
	r.s, r.data, r.client = s, data, client
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

// Release makes the memory of r free for later bodies.
func (r Region) Release() {
	if r.data != nil {
		r.s.InputMemory.Add(r.client, -int64(len(r.data)))
		r.s.regions.give(r.data)
	}
}
