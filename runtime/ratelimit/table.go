package ratelimit

import (
	"crypto/rand"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"fapws/runtime/exchange"
)

const (
	ways = 8 // number of slots in a bucket; a client can use any slot of its bucket
	// number of buckets; all together have room for a million clients, and need up to 16 MiB
	buckets = 1 << 17
	header  = 64 // number of bytes before the slots; the first bytes are the key of the hash
	size    = header + buckets*ways*16

	keySize = 32 // bytes
)

// A slot is for one client and one limit.
type slot struct {
	hash atomic.Uint64 // 0 if the slot was never used
	next atomic.Int64  // the theoretical arrival time, in nanoseconds of CLOCK_MONOTONIC
}

// Table stores the times of clients, and is safe for concurrent use by several processes.
type Table struct {
	slots []slot
	key   [keySize]byte
	now   func() int64

	mu     sync.Mutex
	limits map[Options]*exchange.RateLimit
}

// Create creates the file of a new Table. The caller must close the file.
func Create() (*os.File, error) {
	fd, err := unix.MemfdCreate("fapws rate limits", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	f := os.NewFile(uintptr(fd), "rate limits")
	if err = f.Truncate(size); err == nil {
		_, err = f.WriteAt([]byte(rand.Text()), 0)
	}
	if err == nil {
		_, err = unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Open returns the Table in a file that Create has returned. Afterwards the file may be closed; the Table exists until
// the process ends.
func Open(f *os.File) (*Table, error) {
	if st, err := f.Stat(); err != nil || st.Size() != size {
		return nil, fmt.Errorf("rate limits: not a table of this version (%v)", err)
	}
	memory, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("rate limits: mmap: %w", err)
	}
	t := &Table{limits: map[Options]*exchange.RateLimit{}, now: clock(),
		slots: unsafe.Slice((*slot)(unsafe.Pointer(&memory[header])), buckets*ways)}
	copy(t.key[:], memory)
	return t, nil
}

// clock returns a function that reads CLOCK_MONOTONIC without a system call.
func clock() func() int64 {
	var at unix.Timespec
	start := time.Now()
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &at) // no error, because this clock always exists
	return func() int64 { return at.Nano() + int64(time.Since(start)) }
}

// find returns the slot for hash, which must not be 0. If there is no such slot, hash gets an unused slot or the slot
// of the client whose time is the earliest.
func (t *Table) find(hash uint64) *slot {
	bucket := t.slots[hash%buckets*ways:][:ways]
	for {
		var earliest *slot
		var was uint64
		var next int64
		for i := range bucket {
			s := &bucket[i]
			h, n := s.hash.Load(), s.next.Load()
			if h == hash {
				return s
			}
			if earliest == nil || h == 0 || n < next {
				earliest, was, next = s, h, n
			}
			if h == 0 { // all later slots of the bucket are unused, too
				break
			}
		}
		if (was == 0 || earliest.next.CompareAndSwap(next, 0)) && earliest.hash.CompareAndSwap(was, hash) {
			return earliest
		}
	}
}

// take counts a request from a client at the time now. The result ahead is the time from now to the theoretical arrival
// time, including this request if it was counted. If the request would exceed the burst, take does not count the
// request, and ok is false.
func (t *Table) take(hash uint64, r Rate, now int64) (ahead time.Duration, ok bool) {
	s := t.find(hash)
	for {
		next := s.next.Load()
		ahead = time.Duration(max(next-now, 0))
		if ahead > r.Interval*time.Duration(r.Burst-1) {
			return ahead, false
		}
		ahead += r.Interval
		if s.next.CompareAndSwap(next, now+int64(ahead)) {
			return ahead, true
		}
	}
}
