// Package static serves the files of a directory tree over HTTP: content
// types, validators, conditional and range requests (RFC 9110 §13 and §14),
// precompressed variants, an optional index and listing, and a cache of small
// hot files. It knows nothing of connections: it turns a parsed request into
// the head of a response and the segments of its body.
package static

import (
	"fmt"
	"strings"
	"time"
)

// Options says what to serve and how. The zero value of every field but Root
// works.
type Options struct {
	// Root is the directory to serve. Nothing outside it is ever sent: a
	// symbolic link that leads out of it does not exist for clients, nor does
	// one with an absolute target, and directories on the way to a file have
	// to be readable, not just searchable (both are the price of os.Root). A
	// relative Root is taken from the working directory at the time of New.
	// When Root is later replaced (a release swapped in by renaming a
	// symbolic link), requests follow within a second.
	Root string

	// Index are the names tried, in order, when a directory is asked for.
	// None: a directory has no page of its own.
	Index []string

	// Listing makes a page with the content of a directory without index.
	Listing bool

	// MaxAge is the number of seconds for which clients and proxies may reuse
	// a file without asking (Cache-Control: public, max-age=N). Below zero
	// there is no Cache-Control field.
	MaxAge int

	// DotFiles serves names that begin with a dot too. Otherwise they do not
	// exist for clients: .git and .env are seldom meant to be public.
	DotFiles bool

	// CacheBytes bounds the memory for small files. 0: 8 MiB; below zero: no
	// cache.
	CacheBytes int

	// CacheFileBytes is the size of the largest file that is kept in memory.
	// 0: 64 KiB.
	CacheFileBytes int
}

const (
	defaultCacheBytes     = 8 << 20
	defaultCacheFileBytes = 64 << 10
)

// Files serves one document root. Hit is for one goroutine (the loop), Open
// for any number at the same time.
type Files struct {
	opt   Options
	root  *root
	cache cache

	// Both clocks are in nanoseconds since 1970; tests move them. The first
	// one measures how old knowledge is and never steps, the second one is
	// what the times of files are compared with.
	clock func() int64
	wall  func() int64
}

// started carries the monotonic time, which steps of the system's clock (a
// board without battery gets its time from the net) do not change.
var started = time.Now()

func steadyClock() int64 { return started.UnixNano() + int64(time.Since(started)) }
func wallClock() int64   { return time.Now().UnixNano() }

// New opens the document root. The error, for a root that is missing or not
// a directory or for an index that is not a plain name, is one line.
func New(o Options) (*Files, error) {
	for _, name := range o.Index {
		if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\\\x00") {
			return nil, fmt.Errorf("static files: the index %q is not the name of a file", name)
		}
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = defaultCacheBytes
	}
	if o.CacheFileBytes == 0 {
		o.CacheFileBytes = defaultCacheFileBytes
	}
	r, err := openRoot(o.Root)
	if err != nil {
		return nil, err
	}
	f := &Files{opt: o, root: r, clock: steadyClock, wall: wallClock}
	f.cache.limit = o.CacheBytes
	return f, nil
}

// Close closes the document root. Responses that are still being sent keep
// their files.
func (f *Files) Close() error { return f.root.close() }
