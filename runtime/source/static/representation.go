package static

import (
	"cmp"
	"io"
	"io/fs"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/compress"
	"fapws/runtime/http1"
)

type description struct {
	name      string
	mediaType string
	coding    compress.Coding
	varies    bool
	// if true, the server itself compresses this variant, and name and stamp are those of the uncompressed file
	made    bool
	control string
	extra   string
	tag     string // entity tag to use instead of one computed from the file's time; empty if none
	// the modification time may be a constant that a build tool has set for all files of the directory
	common bool
}

// A representation is the original or a compressed variant of a file in one state, and is immutable.
type representation struct {
	description
	stamp Stamp
	// size of the body in bytes; unknown for a variant that the server has not compressed yet
	size int64
	body []byte
	open *openFile

	etag         []byte // quoted entity tag; nil if the file has no reliable time
	modified     int64  // time of the last change, in seconds since 1970
	lastModified []byte // value of Last-Modified; nil to omit the field

	// fields contains the header fields of a response, as sent; a 304 and a multipart response contain only its first
	// bytes.
	fields  []byte
	short   int // fields[:short] are for 304 (RFC 9110 §15.4.5)
	untyped int // fields[:untyped] are all but Content-Type
}

// newRepresentation returns the representation of a file whose stamp s was read at the time now.
func newRepresentation(d description, s Stamp, now int64) *representation {
	r := &representation{description: d, stamp: s, size: s.size}
	date, dated := s.date(d.common)
	r.modified = time.Unix(0, date).Unix()

	b := make([]byte, 0, 256+len(d.extra))
	if date != 0 && !s.unsized || d.tag != "" {
		tag := strconv.FormatInt(s.modified, 36) + "-" + strconv.FormatInt(s.size, 36)
		if date != s.modified {
			tag += "-" + strconv.FormatInt(s.status, 36) + "-" + strconv.FormatUint(s.ino, 36)
		}
		tag = cmp.Or(d.tag, tag)
		if d.coding != compress.Identity {
			tag += "-" + d.coding.String()
		}
		r.etag = []byte(`"` + tag + `"`)
		b = append(b, "ETag: \""+tag+"\"\r\n"...)
	}
	if d.control != "" {
		b = append(b, "Cache-Control: "+d.control+"\r\n"...)
	}
	if d.varies {
		b = append(b, "Vary: Accept-Encoding\r\n"...)
	}
	b = append(b, d.extra...)
	r.short = len(b)
	// A date must not be in the future (RFC 9110 §8.8.2.1).
	if dated && date <= now && d.tag == "" && !s.unsized {
		r.lastModified = http1.AppendDate(nil, r.modified)
		b = append(append(append(b, "Last-Modified: "...), r.lastModified...), "\r\n"...)
	}
	b = append(b, "Accept-Ranges: bytes\r\nX-Content-Type-Options: nosniff\r\n"...)
	if d.coding != compress.Identity {
		b = append(b, "Content-Encoding: "+d.coding.String()+"\r\n"...)
	}
	r.untyped = len(b)
	r.fields = append(b, "Content-Type: "+d.mediaType+"\r\n"...)
	return r
}

func (r *representation) withBody(body []byte) *representation {
	loaded := *r
	loaded.body, loaded.size = body, int64(len(body))
	return &loaded
}

// keptOpen returns a copy of r with the open file, which the caller must release.
func (r *representation) keptOpen(file *os.File) *representation {
	opened := *r
	opened.open = &openFile{file: file, fd: int(file.Fd())}
	opened.open.refs.Store(1)
	return &opened
}

// openCost is the number of bytes that an open file counts in the cache, so that the cache's size limit also limits the
// open files.
const openCost = 64 << 10

func (r *representation) cost() int {
	if r == nil {
		return 0
	}
	cost := 300 + len(r.name) + len(r.fields) + len(r.body)
	if r.open != nil {
		cost += openCost
	}
	return cost
}

var suffixes = [compress.Codings]string{"", ".gz", ".zst", ".br"}

// choose returns a representation that the client accepts.
func (v *variants) choose(asked *Conditions) *representation {
	if !asked.acceptEncoding {
		return v[compress.Identity]
	}
	var there, possible compress.CodingSet
	some := false
	for c := compress.Gzip; c < compress.Codings; c++ {
		if v[c] != nil {
			there[c], possible[c], some = !v[c].made, v[c].made, true
		}
	}
	if !some {
		return v[compress.Identity]
	}
	accept := compress.AcceptedBy(asked.head, asked.fields)
	if c := accept.Choose(&there); c != compress.Identity {
		return v[c]
	}
	return v[accept.Choose(&possible)]
}

// Stamp identifies the state of a file. Stamp includes the inode and the time of the last status change, because "cp
// -p" and a rename over the name may preserve the size and the modification time.
type Stamp struct {
	identifier
	size             int64
	modified, status int64 // nanoseconds since 1970

	// unsized is set for files whose reported size is not their real size, such as files in /proc and /sys. The times
	// of such a file are unrelated to its content, so the content is read for each response.
	unsized bool
}

func StampOf(info fs.FileInfo) Stamp {
	sys := info.Sys().(*syscall.Stat_t)
	changed := sys.Ctim
	return Stamp{identifierOf(info), info.Size(), info.ModTime().UnixNano(), changed.Nano(), false}
}

func stampOf(file *os.File, info fs.FileInfo) Stamp {
	s := StampOf(info)
	s.unsized = info.Sys().(*syscall.Stat_t).Blocks == 0 && !endsAt(file, s.size)
	return s
}

// endsAt reports whether a file ends at the offset size. For files without blocks, endsAt distinguishes sparse and
// empty files from files in /proc and /sys. Files in /proc and /sys usually do not end at their reported size.
func endsAt(file *os.File, size int64) bool {
	var b [1]byte
	n, _ := file.ReadAt(b[:], size)
	if n == 0 && size > 0 {
		n, _ = file.ReadAt(b[:], size-1)
		return n == 1
	}
	return n == 0
}

const maxUnsized = 16 << 20 // in bytes

func readUnsized(file *os.File, r *representation) (*representation, error) {
	defer file.Close()
	body, err := io.ReadAll(io.LimitReader(file, maxUnsized))
	return r.withBody(body), err
}

// settleTime exceeds the granularity of the kernel's file times. If the last change of a file is older than settleTime,
// the next change gives the file a new time.
const settleTime = int64(20 * time.Millisecond)

// Settled reports whether the stamp, which was read at the time now, still identifies the content if the file is read
// later.
func (s *Stamp) Settled(now int64) bool { return now-s.status > settleTime }

// notBefore reports whether a compressed variant is at least as new as the original. A variant may be up to a second
// older, because some tools truncate the time that they copy from the original.
func (s *Stamp) notBefore(original *Stamp) bool {
	const second = int64(time.Second)
	if s.modified%second == 0 {
		return s.modified/second >= original.modified/second
	}
	return s.modified >= original.modified
}

// An openFile is an open file that the cache and responses share. Its last user closes the file, and all reads specify
// an offset, because the users share the file position.
type openFile struct {
	file *os.File
	fd   int
	// size of the file if it is read once a second to keep it in memory; otherwise 0
	warm int64
	refs atomic.Int32
}

// hold adds a reference to the file, or returns false if the file is already closed.
func (f *openFile) hold() bool {
	for {
		n := f.refs.Load()
		if n == 0 {
			return false
		}
		if f.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// release drops a reference. After the last reference, another goroutine closes the file, because close(2) may block
// for up to a second if the file is large and was removed.
func (f *openFile) release() {
	if f.refs.Add(-1) == 0 {
		go f.file.Close()
	}
}

func (r *representation) hold() bool { return r != nil && r.open != nil && r.open.hold() }

func (v *variants) release() {
	for _, r := range v {
		if r != nil && r.open != nil {
			r.open.release()
		}
	}
}

// The method is reports whether the file still has the stamp s. It does not block or allocate memory, and the caller
// must hold the file.
func (f *openFile) is(s Stamp) bool {
	var now unix.Stat_t
	return unix.Fstat(f.fd, &now) == nil && now.Size == s.size &&
		time.Unix(now.Mtim.Unix()).UnixNano() == s.modified && time.Unix(now.Ctim.Unix()).UnixNano() == s.status
}

const warmMost = 1 << 20 // in bytes

// warm reads the open files of v, so that sendfile finds them in memory.
func (v *variants) warm() {
	for _, r := range v {
		if r.hold() {
			r.open.read()
			r.open.release()
		}
	}
}

func (f *openFile) read() { _, _ = io.Copy(io.Discard, io.NewSectionReader(f.file, 0, f.warm)) }
