package static

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"path"
	"strings"
	"sync"
	"time"
)

// Options says what to serve and how. The zero value of every field but Root
// works, and in JSON (ParseOptions) a field that is missing has its default. Fields with the tag "key" are keys of hosts and
// routes in a configuration file, and settings at its top.
type Options struct {
	// Root is the directory to serve. Nothing outside it is ever sent: a
	// symbolic link that leads out of it does not exist for clients. A
	// relative Root is taken from the working directory at the time of New.
	// When Root is later replaced (a release swapped in by renaming a
	// symbolic link), requests follow within a second.
	Root string `json:"root"`

	// Index are the names tried, in order, when a directory is asked for.
	// None: a directory has no page of its own.
	Index []string `json:"index" key:"index"`

	// Listing makes a page with the content of a directory without index.
	Listing bool `json:"listing" key:"autoindex"`

	// SPA is the file below Root that answers, with 200, for pages that are
	// not there: GET and HEAD of a path whose last segment has no extension,
	// or that accept text/html by name. "": none. The path of a directory is sent
	// to the one with a slash only if that has a page of its own.
	SPA string `json:"spa" key:"spa" is:"name"`

	// MaxAge is the number of seconds for which clients and proxies may reuse
	// a file without asking (Cache-Control: public, max-age=N). Below zero
	// there is no Cache-Control field.
	MaxAge int `json:"max_age"`

	// Expires goes before MaxAge for the files that fit a pattern, in the form
	// "*.css=30d": see parseExpire. The first that fits counts.
	Expires []string `json:"expires" key:"expires" is:"expiries"`

	// DotFiles serves names that begin with a dot too. Otherwise they do not
	// exist for clients: .git and .env are seldom meant to be public.
	DotFiles bool `json:"dotfiles" key:"dotfiles"`

	// Symlinks says which symbolic links are followed: "inside" or "", those that stay below Root; "owner", of these
	// the ones that belong to the owner of their targets (Apache's SymLinksIfOwnerMatch); "no", none.
	Symlinks string `json:"symlinks" key:"symlinks" is:"one inside owner no"`

	// MimeTypes is a file in the format of Apache's mime.types. Other extensions have the built-in type. "": none.
	MimeTypes string `json:"mime_types" key:"mime-types" is:"name" path:"FILE"`

	// Types are media types by extension, without a dot, and go before those
	// of MimeTypes. A name without a dot is looked up as a whole.
	Types map[string]string `json:"types" key:"types" value:"{ gpx = 'application/gpx+xml' }" help:"media types by extension; also in a host or route"`

	// Charset is the parameter of textual types. "": utf-8; "off": none.
	Charset string `json:"charset" key:"charset" is:"name"`

	// Compress makes gzip and zstd variants of textual files from 1 KiB to
	// 8 MiB for clients that accept them, once for each state of a file.
	Compress bool `json:"compress" key:"compress"`

	// Headers are fields for each answer with a file or listing, by name.
	Headers map[string]string `json:"headers"`

	// Programs are patterns (path.Match) for names of files that another source runs: they do not exist here, and
	// for a directory that has one for its index the answer says so (Response.Index).
	Programs []string `json:"-"`

	// Routed are patterns for names of files that have rules of their own: for a directory that has one for its index
	// the answer says so, too, because a request for it by its name has to pass them.
	Routed []string `json:"-"`

	// Private are files that do not exist here, by any name; neither do sources, backups, databases and
	// keys, but for those whose names fit a pattern (path.Match) of Expose. nil: all files exist.
	Private *Private `json:"-"`
	Expose  []string `json:"expose" key:"expose"`

	// Fall says that another source may answer for missing files: then the path of a directory is sent to the one
	// with a slash only if that has a page.
	Fall bool `json:"-"`

	// CacheBytes bounds the memory for small files, compressed ones and
	// listings; a larger file that is kept open counts as 64 KiB. 0: 16 MiB;
	// below zero: no cache, and nothing is compressed.
	CacheBytes int64 `json:"cache_bytes" key:"cache-files-max" range:"0-1T"`

	// CacheFileBytes is the size of the largest file that is kept in memory
	// as it is. 0: 64 KiB.
	CacheFileBytes int `json:"-"`
}

const (
	defaultCacheBytes     = 16 << 20
	defaultCacheFileBytes = 64 << 10
)

// maxLooking is how many goroutines may wait for the disk of a root. Each takes a thread, of which Go ends the process with 10,000.
const maxLooking = 256

// ParseOptions reads the options of a Staticfile of Python.
func ParseOptions(text string) (Options, error) {
	o := Options{MaxAge: -1}
	err := json.Unmarshal([]byte(text), &o)
	return o, err
}

// Files serves one document root. Hit is for one goroutine (the loop), Open
// for any number at the same time.
type Files struct {
	opt     Options
	name    string // of the document root, as it was given, without a slash at its end
	root    *root
	types   typeTable
	expires []expire
	extra   string // lines of Options.Headers
	cache   cache
	makings sync.Map      // of running compressions: functions by their *representation
	making  chan struct{} // has one element for each of them that has a file in memory
	listing sync.Mutex    // held while a page for a directory is made
	looking chan struct{} // has one element for each goroutine that may wait for the disk

	// Both clocks are in nanoseconds since 1970; tests move them. The first one measures how old knowledge is and
	// never steps, the second one is compared with the times of files.
	clock func() int64
	wall  func() int64
}

// started carries the monotonic time, which steps of the system's clock (a
// board without battery gets its time from the net) do not change.
var started = time.Now()

// OptionError is an option that is wrong.
type OptionError struct {
	Option string // its name in JSON
	Err    error
}

// Error returns one line.
func (e *OptionError) Error() string { return "static files: " + e.Option + ": " + e.Err.Error() }
func (e *OptionError) Unwrap() error { return e.Err }

// New opens the document root and reads MimeTypes. The error, which says which
// option is wrong, is one line.
func New(o Options) (*Files, error) {
	f, wrong := NewChecked(o)
	if len(wrong) > 0 {
		return nil, wrong[0]
	}
	return f, nil
}

// NewChecked is New that names all the options that are wrong, not just the
// first one.
func NewChecked(o Options) (f *Files, wrong []*OptionError) {
	note := func(option string, err error) {
		if err != nil {
			wrong = append(wrong, &OptionError{option, err})
		}
	}
	f = &Files{
		making:  make(chan struct{}, cap(turns)),
		looking: make(chan struct{}, maxLooking),

		clock: func() int64 { return started.UnixNano() + int64(time.Since(started)) },
		wall:  func() int64 { return time.Now().UnixNano() },
	}
	note("index", checkIndex(o.Index))
	o.SPA = strings.TrimPrefix(o.SPA, "/")
	note("spa", checkSPA(o.SPA))
	for _, rule := range o.Expires {
		e, err := parseExpire(rule)
		note("expires", err)
		f.expires = append(f.expires, e)
	}
	f.types = typeTable{own: map[string]string{}}
	note("charset", f.types.setCharset(o.Charset))
	if o.MimeTypes != "" {
		note("mime_types", f.types.read(o.MimeTypes))
	}
	note("types", f.types.add(o.Types))
	var err error
	f.extra, err = headerLines(o.Headers)
	note("headers", err)
	policy, err := ParseSymlinks(o.Symlinks)
	note("symlinks", err)
	for _, pattern := range o.Expose {
		if _, err := path.Match(pattern, ""); err != nil || strings.Contains(pattern, "/") {
			note("expose", fmt.Errorf("%q is not a pattern for file names, such as *.db", pattern))
		}
	}
	f.root, err = openRoot(o.Root, policy, o.Private, o.Expose)
	note("root", err)
	if len(wrong) > 0 {
		if f.root != nil {
			_ = f.root.close()
		}
		return nil, wrong
	}
	o.CacheBytes = cmp.Or(o.CacheBytes, defaultCacheBytes)
	o.CacheFileBytes = cmp.Or(o.CacheFileBytes, defaultCacheFileBytes)
	f.opt, f.name = o, strings.TrimRight(o.Root, "/")
	f.cache.limit = int(min(o.CacheBytes, math.MaxInt))
	return f, nil
}

func checkIndex(names []string) error {
	for _, name := range names {
		if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\\\x00") {
			return fmt.Errorf("%q is not the name of a file", name)
		}
	}
	return nil
}

func checkSPA(page string) error {
	if page == "" {
		return nil
	}
	if _, ok := cleanPath(nil, []byte("/"+page), true); !ok || strings.HasSuffix(page, "/") {
		return fmt.Errorf("%q is not a file under the directory", page)
	}
	return nil
}

// Close closes the document root and the files that are kept open. Responses that are still being sent keep their
// files.
func (f *Files) Close() error {
	f.cache.empty()
	return f.root.close()
}
