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

	"fapws/runtime/http1"
)

// description is the part of a file's state that is known before it is looked at.
type description struct {
	name      string // below the root
	mediaType string
	coding    Coding
	varies    bool   // there are variants of it, or it is one
	made      bool   // here, by compression of the original, whose name and stamp it has
	control   string // Cache-Control; "" for none
	extra     string // more lines of fields
	tag       string // instead of one of the file's time
}

// representation is one file as it is sent: the original or a
// variant, in one state. It does not change once it is made.
type representation struct {
	description
	stamp Stamp
	size  int64     // of the bytes that are sent; a variant made here has none before it has a body
	body  []byte    // nil: on disk, or not made yet
	open  *openFile // if it is kept open

	etag         []byte // quoted; nil if the file's time says nothing
	modified     int64  // seconds since 1970
	lastModified []byte // the same as a date; nil: there is no such field

	// The fields of a response, in an order that makes those of a 304 and
	// those of a multipart response prefixes.
	fields  []byte
	short   int // fields[:short] are for 304 (RFC 9110 §15.4.5)
	untyped int // fields[:untyped] are all but Content-Type
}

// newRepresentation describes a file in a state that was seen at a time.
func newRepresentation(d description, s Stamp, now int64) *representation {
	r := &representation{description: d, stamp: s, size: s.size}
	date, dated := s.date()
	r.modified = time.Unix(0, date).Unix()

	b := make([]byte, 0, 256+len(d.extra))
	if date != 0 && !s.unsized || d.tag != "" {
		tag := strconv.FormatInt(s.modified, 36) + "-" + strconv.FormatInt(s.size, 36)
		if date != s.modified {
			tag += "-" + strconv.FormatInt(s.status, 36) + "-" + strconv.FormatUint(s.ino, 36)
		}
		tag = cmp.Or(d.tag, tag)
		if d.coding != Identity {
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
	if d.coding != Identity {
		b = append(b, "Content-Encoding: "+d.coding.String()+"\r\n"...)
	}
	r.untyped = len(b)
	r.fields = append(b, "Content-Type: "+d.mediaType+"\r\n"...)
	return r
}

// withBody returns the same representation with its content.
func (r *representation) withBody(body []byte) *representation {
	loaded := *r
	loaded.body, loaded.size = body, int64(len(body))
	return &loaded
}

// keptOpen returns the same representation with its file, which the caller holds.
func (r *representation) keptOpen(file *os.File) *representation {
	opened := *r
	opened.open = &openFile{file: file, fd: int(file.Fd())}
	opened.open.refs.Store(1)
	return &opened
}

// openCost is the cost of an open file in the cache, which bounds their number.
const openCost = 64 << 10

// cost is about how much memory a representation takes.
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

// suffixes are appended to a file's name to find a variant.
var suffixes = [Codings]string{"", ".gz", ".zst", ".br"}

// AcceptedBy reads the client's preferences in the fields of a request. Several are one list.
func AcceptedBy(head []byte, fields []http1.Field) AcceptedCodings {
	var a AcceptedCodings
	for value := range http1.Values(head, fields, "accept-encoding") {
		a.Add(value)
	}
	return a
}

// choose returns the representation that the client prefers. A variant on disk goes before one that would have to be
// made.
func (v *variants) choose(asked *Conditions) *representation {
	if !asked.acceptEncoding {
		return v[Identity]
	}
	var there, possible CodingSet
	some := false
	for c := Gzip; c < Codings; c++ {
		if v[c] != nil {
			there[c], possible[c], some = !v[c].made, v[c].made, true
		}
	}
	if !some {
		return v[Identity]
	}
	accept := AcceptedBy(asked.head, asked.fields)
	if c := accept.Choose(&there); c != Identity {
		return v[c]
	}
	return v[accept.Choose(&possible)]
}

// Stamp distinguishes the states of a file. The time of the last
// status change and the inode are in it because size and modification time
// survive "cp -p" and a rename over the name.
type Stamp struct {
	identifier
	size             int64
	modified, status int64 // nanoseconds since 1970

	// unsized says that the file has another size than it reports, as in /proc and /sys. Its times say nothing about its content
	// either, which is read for each response.
	unsized bool
}

// Tools that make builds reproducible set the times of all files to a constant, which does not distinguish their versions:
// npm to a day of 1985, zip to 1980, Bazel, flit and hatch to these days, others to the time of the last commit.
var buildTimes = [...]time.Time{
	time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2016, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2020, 2, 2, 0, 0, 0, 0, time.UTC),
}

const (
	firstDate   = 20 * 365 * 24 * time.Hour // since 1970: no earlier time is believed
	mostOffset  = 14 * time.Hour            // of a time zone: archives such as zip have local times
	longTimeAgo = 3 * 365 * 24 * time.Hour  // before the status change: a modification time that old may be a constant
)

// date returns the time of the last change for validators, in nanoseconds since 1970: the modification time or, where that
// may be a constant, the time of the last status change; 0 if both are the constant, as in images of file systems that have one
// time for each file. known is false if the modification time is a constant for certain.
func (s *Stamp) date() (date int64, known bool) {
	known = s.modified >= int64(firstDate)
	for _, t := range buildTimes {
		offset := time.Duration(s.modified - t.UnixNano())
		known = known && (offset.Abs() > mostOffset || offset%(15*time.Minute) != 0)
	}
	switch {
	case !known && s.status == s.modified:
		return 0, false
	case !known, s.status-s.modified > int64(longTimeAgo):
		return s.status, known
	}
	return s.modified, true
}

// StampOf returns the state of the file that info describes.
func StampOf(info fs.FileInfo) Stamp {
	sys := info.Sys().(*syscall.Stat_t)
	changed := sys.Ctim
	return Stamp{identifierOf(info), info.Size(), info.ModTime().UnixNano(), changed.Nano(), false}
}

// stampOf returns the state of an open file.
func stampOf(file *os.File, info fs.FileInfo) Stamp {
	s := StampOf(info)
	s.unsized = info.Sys().(*syscall.Stat_t).Blocks == 0 && !endsAt(file, s.size)
	return s
}

// endsAt reports whether a file ends at its size. A sparse or empty file without blocks does, one of /proc or /sys usually not.
func endsAt(file *os.File, size int64) bool {
	var b [1]byte
	n, _ := file.ReadAt(b[:], size)
	if n == 0 && size > 0 {
		n, _ = file.ReadAt(b[:], size-1)
		return n == 1
	}
	return n == 0
}

// maxUnsized is the largest content of an unsized file that is sent, in bytes.
const maxUnsized = 16 << 20

// readUnsized returns r with the content of its unsized file, which it closes.
func readUnsized(file *os.File, r *representation) (*representation, error) {
	defer file.Close()
	body, err := io.ReadAll(io.LimitReader(file, maxUnsized))
	return r.withBody(body), err
}

// settleTime is more than the granularity of the kernel's file times: what
// changed longer ago than this cannot change again without a new time.
const settleTime = int64(20 * time.Millisecond)

// Settled tells whether the stamp, seen at a time, can vouch for content that
// is read after that.
func (s *Stamp) Settled(now int64) bool { return now-s.status > settleTime }

// notBefore tells whether a variant is as new as the original. Tools that copy
// the original's time to the variant may cut it to seconds.
func (s *Stamp) notBefore(original *Stamp) bool {
	const second = int64(time.Second)
	if s.modified%second == 0 {
		return s.modified/second >= original.modified/second
	}
	return s.modified >= original.modified
}

// openFile is an open file that the cache and responses share: it is closed
// when the last of them lets go. Its position is never used.
type openFile struct {
	file *os.File
	fd   int
	warm int64 // bytes, all of the file, that are read once a second; 0: none
	refs atomic.Int32
}

// hold adds a holder. false: it has been closed meanwhile.
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

// release ends the use of the file. To close one of gigabytes that was removed takes the kernel up to a second, which the loop, or those that
// wait for the cache, do not have.
func (f *openFile) release() {
	if f.refs.Add(-1) == 0 {
		go f.file.Close()
	}
}

// hold adds a holder of the file. false: there is none, or it has been closed meanwhile.
func (r *representation) hold() bool { return r != nil && r.open != nil && r.open.hold() }

func (v *variants) release() {
	for _, r := range v {
		if r != nil && r.open != nil {
			r.open.release()
		}
	}
}

// is tells whether the file is still in the state of a stamp. The caller holds
// it. It is a system call that does not wait, and allocates nothing.
func (f *openFile) is(s Stamp) bool {
	var now unix.Stat_t
	return unix.Fstat(f.fd, &now) == nil && now.Size == s.size &&
		time.Unix(now.Mtim.Unix()).UnixNano() == s.modified && time.Unix(now.Ctim.Unix()).UnixNano() == s.status
}

// warmMost is the size of the largest file that is Warm.
const warmMost = 1 << 20

// read brings the bytes of a file that is to be warm into memory, if they are not there.
func (f *openFile) read() { _, _ = io.Copy(io.Discard, io.NewSectionReader(f.file, 0, f.warm)) }
