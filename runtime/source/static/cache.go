package static

import (
	"container/list"
	"errors"
	"io"
	"os"
	"slices"
	"sync"
	"time"
)

// variants are the representations of one resource, by coding; the original
// is always there.
type variants [Codings]*representation

// cache remembers the state of the disk, by clean path, and the content of small files, compressed ones and listings,
// and keeps larger files open. The least recently used go when it is full. All methods hold the lock for a moment
// only; their results do not change any more.
type cache struct {
	limit int // in bytes; below zero: remember nothing

	mu       sync.Mutex
	records  map[string]*record
	open     map[*record]bool // those of which a file is kept open
	recent   list.List        // of *record, the latest used first
	size     int
	sweeping bool // a sweep is due
}

// record is an entry of the cache, guarded by its lock.
type record struct {
	path     string
	variants variants
	checked  int64 // when the disk was looked at, in nanoseconds
	checking bool  // a goroutine was sent to look again
	used     bool  // since the last sweep
	cost     int
	place    *list.Element // in cache.recent
}

// lateClock is how much the clock of a caller may lag behind that of another.
const lateClock = 2 * freshFor

// get returns the variants of a path, none if it is not known, and whether it was seen on disk within the last second.
//
// When it is just older than that, one of the callers that say loop is to look again while the
// others are still served for another second: or all that arrive during the
// look would queue up to look too.
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

// put remembers the variants of a path, seen on disk at a time.
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
		if variant.hold() { // before possibly the same files are closed
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

// change calls f with the record of a path, if there is one.
func (c *cache) change(path []byte, f func(r *record)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.records[string(path)]; r != nil {
		f(r)
	}
}

// seen notes that the variants of a path were found unchanged.
func (c *cache) seen(path []byte, v *variants, now int64) {
	c.change(path, func(r *record) {
		if r.variants == *v {
			r.checked, r.checking = now, false
		}
	})
}

// load puts a representation with its content, or kept open, in the place of
// the one without, unless the record has changed since. nil takes it out.
func (c *cache) load(path []byte, old, loaded *representation) {
	c.change(path, func(r *record) {
		v := r.variants
		if at := slices.Index(v[:], old); at >= 0 {
			v[at] = loaded
			c.set(r.path, v, r.checked)
		}
	})
}

// forget drops the record of a path.
func (c *cache) forget(path []byte) { c.change(path, c.drop) }

func (c *cache) drop(r *record) {
	delete(c.records, r.path)
	delete(c.open, r)
	c.recent.Remove(r.place)
	c.size -= r.cost
	r.variants.release()
}

// empty drops everything.
func (c *cache) empty() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.records {
		c.drop(r)
	}
}

// sweepAfter is how long a file stays open that is not asked for: it may have been removed, and its disk space would
// not come free.
const sweepAfter = 5 * time.Second

// sweep lets go of the open files of records that were not used since the last
// sweep, and comes again while there are others.
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

// sweepLater has a sweep come.
func (c *cache) sweepLater() {
	if !c.sweeping {
		c.sweeping = true
		time.AfterFunc(sweepAfter, c.sweep)
	}
}

// make compresses the original for a representation that is not made yet, and keeps it in the cache; requests for the
// same one wait for that. nil: the original is to be sent instead, also if too many others are being made.
func (f *Files) make(t *view, key []byte, v *variants, r *representation) *representation {
	made, _ := f.makings.LoadOrStore(r, sync.OnceValue(func() *representation {
		defer f.makings.Delete(r)
		now, _ := f.cache.get(key, 0, false)
		if made := now[r.coding]; made != nil && made.body != nil && made.stamp == r.stamp {
			return made // since the caller looked
		}
		return f.compressed(t, key, v, r)
	}))
	return made.(func() *representation)()
}

func (f *Files) compressed(t *view, key []byte, v *variants, r *representation) (made *representation) {
	if !takeTurn(f.making) { // before the file is read: while it waits, it is not in memory
		return nil
	}
	defer func() { <-f.making }()
	original := v[Identity]
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
	if !takeTurn(turns) { // after that: other roots do not wait for a slow disk
		return nil
	}
	defer func() { <-turns }()
	packed, ok := compress(r.coding, body)
	if ok && int64(len(packed)) <= f.opt.CacheBytes/4 {
		made = r.withBody(packed)
	}
	if settled {
		f.cache.load(key, r, made)
	}
	return made
}

// readWhole returns the content of a file, nil if it is not in the state of the stamp any more: while it is written to, the bytes may be
// neither the old content nor the new.
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

// find returns the representations of the file at a clean path, whose key in the cache is key, from memory if the disk was looked at within the last
// second.
func (f *Files) find(t *view, path, key []byte, now int64, req *Request) (v variants, err error) {
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
			f.warm(&known)
			f.cache.seen(key, &known, now)
			return known, nil
		}
		err = t.shows(name) // some answers open no file
	}
	if err != nil {
		f.cache.forget(key)
		return variants{}, err
	}
	f.cache.put(string(key), v, now)
	return v, nil
}

// findListing makes the page for a directory, one at a time: for a large one it takes long, and a caller that has
// waited for its turn finds it made.
func (f *Files) findListing(t *view, path, key []byte, now int64, req *Request) (v variants, err error) {
	<-f.looking // it does not wait for the disk, and other files need not wait for it
	f.listing.Lock()
	f.looking <- struct{}{}
	defer f.listing.Unlock()
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

// warm reads the files that are kept open and sent without a look at them.
func (f *Files) warm(v *variants) {
	for _, r := range v {
		if r.hold() {
			r.open.read()
			r.open.release()
		}
	}
}

// load returns r with the content of its file, if that is small and not being written to, or else with the file itself, which the caller
// holds.
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
