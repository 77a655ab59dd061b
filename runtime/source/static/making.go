package static

import (
	"io"
	"sync"
)

// makings are the running compressions: requests for the same one wait for
// it.
type makings struct {
	mu      sync.Mutex
	running map[*representation]*making
}

type making struct {
	done   chan struct{}
	result *representation // nil: it is not to be had
}

// make compresses the original for a representation that is not made yet, and
// keeps it in the cache. nil: the original is to be sent instead.
func (f *Files) make(t *view, key []byte, v *variants, r *representation) *representation {
	f.makings.mu.Lock()
	if m := f.makings.running[r]; m != nil {
		f.makings.mu.Unlock()
		<-m.done
		return m.result
	}
	m := &making{done: make(chan struct{})}
	if f.makings.running == nil {
		f.makings.running = map[*representation]*making{}
	}
	f.makings.running[r] = m
	f.makings.mu.Unlock()
	defer func() {
		f.makings.mu.Lock()
		delete(f.makings.running, r)
		f.makings.mu.Unlock()
		close(m.done)
	}()
	body, settled := f.original(t, v[Identity])
	if body == nil {
		return nil
	}
	packed, ok := Compress(r.coding, body)
	if ok && len(packed) <= f.opt.CacheBytes/4 {
		m.result = r.withBody(packed)
	}
	if settled {
		f.cache.load(key, r, m.result)
	}
	return m.result
}

// original reads the whole original. It returns nil if the file has
// changed, and otherwise reports whether the body may be kept.
func (f *Files) original(t *view, r *representation) (body []byte, settled bool) {
	if r.body != nil {
		return r.body, true
	}
	file, err := t.open(r.name)
	if err != nil {
		return nil, false
	}
	defer file.Close()
	before := f.wall()
	body = make([]byte, r.stamp.size)
	if _, err := io.ReadFull(file, body); err != nil {
		return nil, false
	}
	if info, err := file.Stat(); err != nil || stampOf(info) != r.stamp {
		return nil, false
	}
	return body, r.stamp.settled(before)
}
