package runtime

import (
	"slices"

	"fapws/runtime/http1"
)

// known is what was found out, beside the loop, about the request that c has at
// the front of its input: the loop goes through it once more with that.
type known struct {
	missed []*Mount // whose files have nothing for it
	login  login    // what its password was found to be
	index  string   // it is for a folder that has this for its index, which is no plain file
}

// misses remembers which paths the files of a mount have nothing for, so that
// not each request for a page of an application looks at the disk.
type misses struct {
	since map[string]int64 // loop.now by path
}

const (
	missesMax = 4096                     // paths
	missesLen = 256                      // bytes of a path that is worth it
	missesAge = int64(1_000_000_000) / 2 // with the loop's clock, a tick late at most, new files are seen within a second
)

func (s *misses) has(path []byte, now int64) bool {
	at, ok := s.since[string(path)]
	return ok && now-at < missesAge
}

func (s *misses) add(path []byte, now int64) {
	if len(path) > missesLen {
		return
	}
	if s.since == nil || len(s.since) >= missesMax {
		s.since = make(map[string]int64)
	}
	s.since[string(path)] = now
}

// falls reports whether the files of a mount are known to have nothing for a request. serveStatic
// looks for others.
func (l *loop) falls(c *conn, at *decision) bool {
	if hasBody(at.req) || string(at.req.Method.In(at.Head)) != "GET" && !at.req.Head {
		return true
	}
	if c.known != nil && slices.Contains(c.known.missed, at.mount) {
		return true
	}
	return at.mount.missing.has(at.Path[at.Script:], l.now)
}

// fell lets c begin again with the request of x, for which j has found no file.
func (l *loop) fell(c *conn, x *Exchange, j *fileJob) {
	if c.known == nil {
		c.known = &known{missed: j.missed}
	}
	if c.known.index = j.index; c.known.index == "" {
		j.mount.missing.add(j.req.Path, l.now)
		c.known.missed = append(c.known.missed, j.mount)
	}
	c.shift()
	l.served--
	if x.log != nil {
		c.requests--
	}
	l.exchanges.put(x)
	in := append(append(l.takeBuffer(), j.req.Head[:j.req.Parsed.HeadLen]...), c.pending()...)
	l.dropInput(c)
	c.in = in
	c.resume = http1.Resume{}
	l.setState(c, stateWaiting)
	l.queue(c)
}
