package system

import "golang.org/x/sys/unix"

// RegionUnit divides the size of each region, in bytes.
const RegionUnit = 64 << 10

// maxSpare limits the memory that is kept for later regions, in bytes.
const maxSpare = 8 << 20

// Regions makes regions, which are memory outside of Go's heap, from the memory of earlier regions, because the kernel
// clears each new page. It must be used on one goroutine.
type Regions struct {
	spare [][]byte
	Spare int  // size of the memory that is kept for later regions, in bytes
	used  bool // Take was called since the last Tick
}

// RoundRegion rounds n up to the size of a region.
func RoundRegion(n int) int { return (n + RegionUnit - 1) / RegionUnit * RegionUnit }

// Take returns a region of n bytes, or nil if the kernel has no memory. It begins with the first len(old) bytes of old,
// which is nil or the result of an earlier call. n must be a result of RoundRegion.
func (r *Regions) Take(old []byte, n int) []byte {
	r.used = true
	last := len(r.spare) - 1
	reuses := old == nil && last >= 0
	if reuses {
		old, r.spare = r.spare[last], r.spare[:last]
		r.Spare -= len(old)
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
			r.Give(old)
		}
		return nil
	}
	return data
}

// Give takes back a region, with its whole length.
func (r *Regions) Give(region []byte) {
	most := maxSpare
	if limit := Memory(); limit > 0 {
		most = int(min(maxSpare, limit/64))
	}
	if r.Spare+len(region) > most {
		_ = unix.Munmap(region)
		return
	}
	r.spare = append(r.spare, region)
	r.Spare += len(region)
}

// Tick must be called about twice a second. It calls Trim if Take was not called for at least a tick.
func (r *Regions) Tick() {
	if !r.used {
		r.Trim()
	}
	r.used = false
}

// Trim returns the memory that is kept for later regions to the kernel.
func (r *Regions) Trim() {
	for _, region := range r.spare {
		_ = unix.Munmap(region)
	}
	r.spare, r.Spare = nil, 0
}
