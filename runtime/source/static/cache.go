package static

import (
	"container/list"
	"errors"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"fapws/runtime/compress"
)

// variants contains the representations of a file, indexed by content coding. The representation for Identity always
// exists.
type variants [compress.Codings]*representation

// cache maps clean paths to what is on the disk: the contents of small files, compressed files and listings, and open
// descriptors of larger files. All methods hold the lock only briefly, and return immutable data.
type cache struct {
	// size limit of the cache in bytes; if negative, nothing is cached
	limit int

	mu       sync.Mutex
	records  map[string]*record
	open     map[*record]bool
	recent   list.List // most recently used first
	size     int
	sweeping bool
}

type record struct {
	path     string
	variants variants
	checked  int64 // in nanoseconds
	checking bool
	used     bool
	cost     int
	place    *list.Element
}

// lateClock is how far, in nanoseconds, the time of a caller may lie before the last check.
const lateClock = 2 * freshFor

// fresh reports whether the cache was compared with the disk within the last second. If the path is not in the cache,
// all elements of v are nil.
//
// loop is true in calls on the event loop. If the last check is one to two seconds old, fresh is false in only one of
// these calls, whose caller must check the disk. The other callers need not wait for the disk, and may use the
// variants.
func (c *cache) get(path []byte, now int64, loop bool) (v variants, fresh bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.records[string(path)]
	if r == nil {
		return v, false
	}
	r.used = true
	c.recent.MoveToFront(r.place)
	age := now - r.checked
	fresh = age >= -lateClock && (age < freshFor || loop && r.checking && age < 2*freshFor)
	r.checking = r.checking || loop && !fresh
	return r.variants, fresh
}

func (c *cache) put(path string, v variants, now int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set(path, v, now)
}

func (c *cache) set(path string, v variants, now int64) {
	r := &record{path: path, variants: v, checked: now, used: true, cost: 200 + len(path)}
	open := false
	for _, variant := range v {
		r.cost += variant.cost()
		if variant.hold() {
			open = true
		}
	}
	if old := c.records[path]; old != nil {
		c.drop(old)
	}
	if r.cost > c.limit {
		v.release()
		return
	}
	if c.records == nil {
		c.records, c.open = map[string]*record{}, map[*record]bool{}
	}
	if open {
		c.open[r] = true
		c.sweepLater()
	}
	c.records[path] = r
	r.place = c.recent.PushFront(r)
	c.size += r.cost
	for c.size > c.limit {
		c.drop(c.recent.Back().Value.(*record))
	}
}

func (c *cache) change(path []byte, f func(r *record)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.records[string(path)]; r != nil {
		f(r)
	}
}

func (c *cache) seen(path []byte, v *variants, now int64) {
	c.change(path, func(r *record) {
		if r.variants == *v {
			r.checked, r.checking = now, false
		}
	})
}

// load replaces old in the cache with loaded or, if loaded is nil, removes old. If the cache no longer contains old,
// nothing changes.
func (c *cache) load(path []byte, old, loaded *representation) {
	c.change(path, func(r *record) {
		v := r.variants
		if at := slices.Index(v[:], old); at >= 0 {
			v[at] = loaded
			c.set(r.path, v, r.checked)
		}
	})
}

func (c *cache) forget(path []byte) { c.change(path, c.drop) }

func (c *cache) drop(r *record) {
	delete(c.records, r.path)
	delete(c.open, r)
	c.recent.Remove(r.place)
	c.size -= r.cost
	r.variants.release()
}

func (c *cache) empty() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.records {
		c.drop(r)
	}
}

// sweepAfter is how long an unused file stays open. The disk space of a removed file is freed only after the file is
// closed.
const sweepAfter = 5 * time.Second

// sweep drops open files that were not used since the previous sweep, and schedules the next sweep for the remaining
// files.
func (c *cache) sweep() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sweeping = false
	for r := range c.open {
		if !r.used {
			c.drop(r)
			continue
		}
		r.used = false
		c.sweepLater()
	}
}

func (c *cache) sweepLater() {
	if !c.sweeping {
		c.sweeping = true
		time.AfterFunc(sweepAfter, c.sweep)
	}
}

// make compresses the original for the representation r and caches the result. Requests for this representation wait
// for the result. make returns nil if the original must be sent instead, for example because too many other files are
// being compressed.
func (f *Files) make(t *view, key []byte, v *variants, r *representation) *representation {
	made, _ := f.makings.LoadOrStore(r, sync.OnceValue(func() *representation {
		defer f.makings.Delete(r)
		now, _ := f.cache.get(key, 0, false)
		if made := now[r.coding]; made != nil && made.body != nil && made.stamp == r.stamp {
			// Another goroutine has compressed the file since the caller looked into the cache.
			return made
		}
		return f.compressed(t, key, v, r)
	}))
	return made.(func() *representation)()
}

func (f *Files) compressed(t *view, key []byte, v *variants, r *representation) (made *representation) {
	// f.making limits the compressions. Wait for it before reading the file, so that waiting goroutines hold no file
	// contents in memory.
	if !f.making.Take(time.Second) {
		return nil
	}
	defer f.making.Leave()
	original := v[compress.Identity]
	body, settled := original.body, true
	if body == nil {
		file, _, err := t.openRegular(original.name)
		if err != nil {
			return nil
		}
		defer file.Close()
		settled = original.stamp.Settled(f.wall())
		if body = readWhole(file, original.stamp); body == nil {
			return nil
		}
	}
	// Wait for a processor only after reading the file, so that compressions for other document roots do not wait for a
	// slow disk.
	if !compress.Processors.Take(time.Second) {
		return nil
	}
	defer compress.Processors.Leave()
	packed, ok := compress.Compress(r.coding, body)
	if ok && int64(len(packed)) <= f.opt.CacheBytes/4 {
		made = r.withBody(packed)
	}
	if settled {
		f.cache.load(key, r, made)
	}
	return made
}

// readWhole returns the content of a file, or nil if the file no longer has the stamp s. While a file is being written,
// its content may be neither the old nor the new version.
func readWhole(file *os.File, s Stamp) []byte {
	body := make([]byte, s.size)
	if _, err := io.ReadFull(file, body); err != nil {
		return nil
	}
	if info, err := file.Stat(); err != nil || StampOf(info) != s {
		return nil
	}
	return body
}

// find returns the representations of the file at a clean path; key is the cache key of this path. find uses the cache
// if the disk was checked within the last second.
func (f *Files) find(t *view, path, key []byte, now int64, req *FileRequest) (v variants, err error) {
	known, fresh := f.cache.get(key, now, false)
	if fresh {
		return known, nil
	}
	name, info, err := f.look(t, string(path))
	if errors.Is(err, errListing) {
		return f.findListing(t, path, key, now, req)
	}
	if err == nil {
		if v = f.around(t, name, info, f.wall()); v.isLike(&known) {
			known.warm()
			f.cache.seen(key, &known, now)
			return known, nil
		}
		err = t.shows(name)
	}
	if err != nil {
		f.cache.forget(key)
		return variants{}, err
	}
	f.cache.put(string(key), v, now)
	return v, nil
}

func (f *Files) findListing(t *view, path, key []byte, now int64, req *FileRequest) (v variants, err error) {
	// f.looking limits the goroutines that wait for the disk. While this goroutine waits for the lock, it does not
	// count.
	<-f.looking
	f.listing.Lock()
	defer f.listing.Unlock()
	f.looking <- struct{}{}
	v, fresh := f.cache.get(key, now, false)
	if fresh {
		return v, nil
	}
	v, err = f.list(t, string(path), req)
	if err == nil {
		f.cache.put(string(key), v, now)
	}
	return v, err
}

// load returns a copy of r that contains the content of its file. If the file is large or being written, the copy
// contains the open file instead, and the caller must release the open file.
func (f *Files) load(file *os.File, r *representation) *representation {
	if r.stamp.size <= int64(f.opt.CacheFileBytes) {
		if body := readWhole(file, r.stamp); body != nil {
			file.Close()
			return r.withBody(body)
		}
	}
	loaded := r.keptOpen(file)
	if f.opt.CacheBytes > 0 && r.size <= warmMost {
		loaded.open.warm = r.size
		loaded.open.read()
	}
	return loaded
}
