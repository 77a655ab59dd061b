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

	"fapws/runtime/compress"
	"fapws/runtime/route"
)

// All fields except Root may be zero, and a field that is missing in JSON (ParseOptions) has its default. The tag "key"
// of a field is the field's name in configuration files, both at the top level and in hosts and routes.
type Options struct {
	// Root is the directory to serve. Nothing outside it is ever sent: a symbolic link that leads outside does not
	// exist for clients. New resolves a relative Root in the working directory. If Root is replaced later, for example
	// by renaming a symbolic link to a new release, requests use the new directory within a second.
	Root string `json:"root"`

	// Index lists the names of index files in order of preference; if Index is empty, directories have no index.
	Index []string `json:"index" key:"index"`

	// Listing enables pages with the content of directories that have no index.
	Listing bool `json:"listing" key:"autoindex"`

	// SPA is the file below Root that is sent with 200 instead of a missing page. A GET or HEAD request is for a page
	// if the last segment of the path has no extension, or if Accept contains text/html. "" means none. With SPA, a
	// request for a directory without a trailing slash is redirected only if the directory has an index.
	SPA string `json:"spa" key:"spa" is:"name"`

	// MaxAge is the number of seconds for which clients and proxies may reuse a file without revalidation
	// (Cache-Control: max-age=N); a negative number omits Cache-Control.
	MaxAge int `json:"max_age"`

	// Expires overrides MaxAge for files that match a pattern, in the form "*.css=30d" (see parseExpire). The first
	// match counts.
	Expires []string `json:"expires" key:"expires" is:"expiries"`

	// DotFiles enables names that begin with a dot. Otherwise such names do not exist for clients, because files such
	// as .git and .env are rarely public.
	DotFiles bool `json:"dotfiles" key:"dotfiles"`

	// Symlinks determines which symbolic links are followed: "inside" or "" means links that stay below Root; "owner"
	// means that link and target must also have the same owner (Apache's SymLinksIfOwnerMatch); "no" means none.
	Symlinks string `json:"symlinks" key:"symlinks" is:"one inside owner no"`

	// MimeTypes is a file in the format of Apache's mime.types. Extensions that the file does not contain have built-in
	// types.
	MimeTypes string `json:"mime_types" key:"mime-types" is:"name" path:"FILE"`

	// Types maps extensions without a dot to media types, and overrides MimeTypes. For a file name without a dot, the
	// whole name is the extension.
	Types map[string]string `json:"types" key:"types" value:"{ gpx = 'application/gpx+xml' }"`

	// Charset is the charset parameter of textual types; "" means utf-8, and "off" means no parameter.
	Charset string `json:"charset" key:"charset" is:"name"`

	// Compress enables gzip and zstd variants of textual files from 1 KiB to 8 MiB for clients that accept them.
	Compress bool `json:"compress" key:"compress"`

	Headers map[string]string `json:"headers"`

	// Programs are patterns (path.Match) for names of programs that another source runs.
	Programs *route.Patterns `json:"-"`

	// Routed are patterns for names of files that have their own rules in the configuration. If the index of a
	// directory is such a file, FileResponse.Index contains its name, because the rules for this name must be applied
	// first.
	Routed *route.Patterns `json:"-"`

	// Private are files that are hidden from clients under any name. Sources, backups, databases and keys are hidden as
	// well, except names that match a pattern (path.Match) in Expose. If Private is nil, no file is hidden.
	Private *Private `json:"-"`
	Expose  []string `json:"expose" key:"expose"`

	// Fall is true if another source may handle requests for missing files. In this case, a request for a directory
	// without a trailing slash is redirected only if the directory has an index or a listing.
	Fall bool `json:"-"`

	// CacheBytes limits the memory for small files, compressed files and listings, in bytes. Each larger file that is
	// kept open counts as 64 KiB. The default is 16 MiB. If CacheBytes is negative, nothing is cached or compressed.
	CacheBytes int64 `json:"cache_bytes" key:"cache-files-max" range:"0-1T"`

	// CacheFileBytes limits the size of files that are kept in memory uncompressed, in bytes. 0 means 64 KiB.
	CacheFileBytes int `json:"-"`
}

// maxLooking limits the goroutines that may wait for the disk of a root, because each blocks a thread, and Go aborts a
// process with 10,000 threads.
const maxLooking = 256

func ParseOptions(text string) (Options, error) {
	o := Options{MaxAge: -1}
	err := json.Unmarshal([]byte(text), &o)
	return o, err
}

// Files serves a directory and is safe for concurrent use.
type Files struct {
	opt      Options
	name     string
	root     *root
	types    typeTable
	controls controlTable
	extra    string
	cache    cache
	makings  sync.Map        // running compressions: map from *representation to a function that waits for the result
	making   *compress.Turns // limits running compressions whose input is in memory
	listing  sync.Mutex
	looking  chan struct{} // has an element for each goroutine that may wait for the disk

	// clock and wall return the time in nanoseconds since 1970; tests replace both. clock never steps and measures the
	// age of cached data. wall is the system time, which is compared with the times of files.
	clock func() int64
	wall  func() int64
}

// started is the start time of the process. Times relative to started are monotonic: they do not jump when the system
// clock is set, for example on a board that receives the time from the network after booting.
var started = time.Now()

type OptionError struct {
	Option string
	Err    error
}

func (e *OptionError) Error() string { return "static files: " + e.Option + ": " + e.Err.Error() }
func (e *OptionError) Unwrap() error { return e.Err }

// New opens the document root and reads MimeTypes; its error names the invalid option.
func New(o Options) (*Files, error) {
	f, wrong := NewChecked(o)
	if len(wrong) > 0 {
		return nil, wrong[0]
	}
	return f, nil
}

// NewChecked is like New, but returns the errors of all invalid options.
func NewChecked(o Options) (f *Files, wrong []*OptionError) {
	note := func(option string, err error) {
		if err != nil {
			wrong = append(wrong, &OptionError{option, err})
		}
	}
	f = &Files{
		making:  compress.NewTurns(),
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
		f.controls.rules = append(f.controls.rules, e)
	}
	if o.MaxAge >= 0 {
		f.controls.other = maxAge(o.MaxAge)
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
			f.root.close()
		}
		return nil, wrong
	}
	o.CacheBytes = cmp.Or(o.CacheBytes, 16<<20)
	o.CacheFileBytes = cmp.Or(o.CacheFileBytes, 64<<10)
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

// Close closes the document root and the cached open files; responses in progress keep their files.
func (f *Files) Close() error {
	f.cache.empty()
	f.root.close()
	return nil
}
