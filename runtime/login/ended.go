package login

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/auth"
)

// ended is the list of sessions that were ended before their time, in a file that all processes append to. Each line is
// "ACCOUNT ORDER ID" for one session, or "ACCOUNT ORDER *" for all sessions of an account up to ORDER (Session.order).
//
// The file stays small: when it has grown, sessions that are too old to be valid, and all but the latest of an account,
// become one line with "*". So a client that logs in and out all the time ends its own sessions only.
type ended struct {
	dir   string
	age   time.Duration // the longest that a session lives
	now   func() time.Time
	limit int64         // bytes of the file, before it is made smaller
	file  auth.OpenFile // as it was read

	mu        sync.Mutex // of reading and writing the file
	complaint string     // the last mistake found in it; guarded by mu
	set       atomic.Pointer[endedSet]
}

// endedSet is what the file says. It does not change.
type endedSet struct {
	ids  map[sessionID]endedSession
	upTo map[account]int64
}

type endedSession struct {
	account account
	order   int64
}

const (
	maxEnded   = 64 << 10 // bytes of the file: see ended.limit
	maxRead    = 16 << 20 // bytes of it that are read
	keptOfEach = 64       // sessions of an account that have their own line then
)

func (e *ended) path() string { return filepath.Join(e.dir, EndedFile) }

// open reads the file, which is made if it is missing.
func (e *ended) open() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.read()
}

// fresh reports whether no process has ended a session since the file was read. It does not block.
func (e *ended) fresh() bool { return e.file.Unchanged() }

// has reports whether a session was ended. It does not block.
func (e *ended) has(s *Session) bool {
	set := e.set.Load()
	if _, ended := set.ids[s.id]; ended {
		return true
	}
	upTo, some := set.upTo[s.account]
	return some && s.order <= upTo
}

// after returns the least order of a new session of an account.
func (e *ended) after(of account) int64 {
	if upTo, some := e.set.Load().upTo[of]; some {
		return upTo + 1
	}
	return 0
}

// refresh reads the file again if it has changed. It returns an error once, not each time that the same one follows.
func (e *ended) refresh() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fresh() {
		return nil
	}
	err, complaint := e.read(), ""
	if err != nil {
		complaint = err.Error()
	}
	if complaint == e.complaint {
		return nil
	}
	e.complaint = complaint
	return err
}

// read reads the file. mu is held.
func (e *ended) read() error {
	f, err := os.OpenFile(e.path(), os.O_RDONLY|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	var text []byte
	if err == nil {
		text, err = io.ReadAll(io.LimitReader(f, maxRead))
	}
	if err != nil {
		f.Close()
		return err
	}
	e.set.Store(parseEnded(text))
	e.file.Keep(f, info)
	return nil
}

// parseEnded reads the lines of the file. One that is not complete, because the machine was switched off, does not count.
func parseEnded(text []byte) *endedSet {
	set := &endedSet{ids: map[sessionID]endedSession{}, upTo: map[account]int64{}}
	for line := range bytes.Lines(text) {
		parts := bytes.Fields(line)
		if len(parts) != 3 || !bytes.HasSuffix(line, []byte("\n")) {
			continue
		}
		of, ok := parseAccount(parts[0])
		if !ok {
			continue
		}
		order, err := strconv.ParseInt(string(parts[1]), 10, 64)
		if err != nil {
			continue
		}
		var id sessionID
		if string(parts[2]) == "*" {
			set.upTo[of] = max(set.upTo[of], order)
		} else if len(parts[2]) == 2*len(id) {
			if _, err := hex.Decode(id[:], parts[2]); err == nil {
				set.ids[id] = endedSession{of, order}
			}
		}
	}
	return set
}

// end ends one session. When it returns nil, no process accepts it any more.
func (e *ended) end(s *Session) error {
	return e.add(fmt.Sprintf("%x %d %x\n", s.account, s.order, s.id))
}

// endAll ends all sessions of the account of s that have begun up to now.
func (e *ended) endAll(s *Session) error {
	return e.add(fmt.Sprintf("%x %d *\n", s.account, max(e.now().UnixMicro(), s.order)))
}

func (e *ended) add(line string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	err := exclusively(e.dir, func() error {
		size, err := e.append(line)
		if err == nil && size > e.limit {
			err = e.compact()
		}
		return err
	})
	return cmp.Or(err, e.read())
}

// append writes a line, so that it is there when the machine is switched off afterwards. It returns the size of the file.
func (e *ended) append(line string) (size int64, err error) {
	f, err := os.OpenFile(e.path(), os.O_RDWR|os.O_CREATE|os.O_APPEND|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	size = info.Size()
	var last [1]byte
	if size > 0 {
		if _, err := f.ReadAt(last[:], size-1); err != nil {
			return 0, err
		}
		if last[0] != '\n' { // the machine was switched off while it was written
			line = "\n" + line
		}
	}
	if _, err := f.WriteString(line); err != nil {
		_ = f.Truncate(size) // or the next line begins on its own
		return 0, err
	}
	return size + int64(len(line)), f.Sync()
}

// compact replaces the file by a smaller one. The directory is locked.
func (e *ended) compact() error {
	text, err := os.ReadFile(e.path())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	set := parseEnded(text)
	type session struct {
		id    sessionID
		order int64
	}
	by := map[account][]session{}
	for id, s := range set.ids {
		by[s.account] = append(by[s.account], session{id, s.order})
	}
	tooOld := e.now().Add(-e.age).UnixMicro()
	var out bytes.Buffer
	for of, all := range by {
		slices.SortFunc(all, func(a, b session) int { return cmp.Compare(b.order, a.order) })
		for i, s := range all {
			if i >= keptOfEach || s.order < tooOld {
				set.upTo[of] = max(set.upTo[of], s.order)
				break
			}
			fmt.Fprintf(&out, "%x %d %x\n", of, s.order, s.id)
		}
	}
	// They stay, however old: the clock of the machine may be wrong now. There are as many as accounts that have logged out.
	for of, order := range set.upTo {
		fmt.Fprintf(&out, "%x %d *\n", of, order)
	}
	return auth.ReplaceFile(e.path(), out.Bytes())
}
