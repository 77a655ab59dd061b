package ssi

import (
	"container/list"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"

	"fapws/runtime/system"
)

// file is a page as it was read.
type file struct {
	name     string // decoded path below the root: "/a/b.shtml"
	modified time.Time
	owner    uint32
	stamp    stamp
	doc      *document
}

// stamp distinguishes the states of a file.
type stamp struct {
	device, inode, size int64
	modified, status    int64 // nanoseconds since 1970
}

func stampOf(info fs.FileInfo) (s stamp, owner uint32) {
	s.size, s.modified = info.Size(), info.ModTime().UnixNano()
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		s.device, s.inode = int64(sys.Dev), int64(sys.Ino)
		changed := system.StatusChange(sys)
		s.status = changed.Nano()
		owner = sys.Uid
	}
	return s, owner
}

// settleTime is more than the granularity of the kernel's file times: a file
// that changed longer ago cannot change again without a new time.
const settleTime = 50 * time.Millisecond

// load returns a page, from memory if its file has not changed.
func (s *Pages) load(name string) (*file, error) {
	opened, info, err := s.opt.Files.OpenPath(name)
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	now := time.Now()
	f := &file{name: name, modified: info.ModTime()}
	f.stamp, f.owner = stampOf(info)
	if known := s.cache.get(name); known != nil && known.stamp == f.stamp {
		return known, nil
	}
	text, err := read(opened)
	if err != nil {
		return nil, err
	}
	f.doc = parse(text)
	if now.UnixNano()-f.stamp.status > int64(settleTime) {
		s.cache.put(f)
	}
	return f, nil
}

func read(f *os.File) (string, error) {
	text, err := io.ReadAll(io.LimitReader(f, maxPage+1))
	if err == nil && len(text) > maxPage {
		err = errTooLarge
	}
	return string(text), err
}

// cache holds parsed pages, the latest used ones up to a limit in bytes.
type cache struct {
	limit int

	mu     sync.Mutex
	pages  map[string]*list.Element // of *file, by name
	recent list.List                // the latest used first
	size   int
}

func (c *cache) get(name string) *file {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.pages[name]
	if e == nil {
		return nil
	}
	c.recent.MoveToFront(e)
	return e.Value.(*file)
}

func (c *cache) put(f *file) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.pages[f.name]; old != nil {
		c.drop(old)
	}
	if f.cost() > c.limit {
		return
	}
	if c.pages == nil {
		c.pages = map[string]*list.Element{}
	}
	c.pages[f.name] = c.recent.PushFront(f)
	for c.size += f.cost(); c.size > c.limit; {
		c.drop(c.recent.Back())
	}
}

func (c *cache) drop(e *list.Element) {
	f := c.recent.Remove(e).(*file)
	delete(c.pages, f.name)
	c.size -= f.cost()
}

func (f *file) cost() int { return 300 + len(f.name) + f.doc.size }
