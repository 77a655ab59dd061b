package cache

import (
	"encoding/json"
	"fmt"
	"strings"

	"fapws/runtime/http1"
)

// Pattern says which pages are to go.
type Pattern struct {
	Host  string `json:"host,omitempty"`  // with a port that is not the scheme's, as clients say it; "": of all
	Path  string `json:"path,omitempty"`  // "/page": with any query; "/page?a=1": with this one; "/blog/*": all with this prefix; "*": all
	Exact bool   `json:"exact,omitempty"` // "*" and "?" in Path are themselves
	Tag   string `json:"tag,omitempty"`   // a tag in the field Fapws-Cache-Tags of answers; instead of Path
}

// ParsePattern reads a pattern in JSON and checks it. The error is one line.
func ParsePattern(text string) (p Pattern, err error) {
	if err = json.Unmarshal([]byte(text), &p); err == nil {
		err = p.Check()
	}
	return p, err
}

// Check returns an error, of one line, if a pattern is invalid.
func (p *Pattern) Check() error {
	switch {
	case p.Tag != "" && p.Path != "":
		return fmt.Errorf("a path or a tag, not both")
	case p.Tag == "" && p.Path == "":
		return fmt.Errorf("no pages given: pass a path, a prefix with *, or a tag")
	case p.Tag == "" && p.Path != "*" && !strings.HasPrefix(p.Path, "/"):
		return fmt.Errorf("%q is not a path: it must begin with a slash", p.Path)
	}
	return nil
}

// maxWanted is the maximum number of waiting purges; above it all pages are evicted.
const maxWanted = 1000

// Purge evicts pages before the next one is looked up. Pages that are being fetched are not kept, either. It does not
// wait, and is safe for concurrent use.
func (s *Store) Purge(p Pattern) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.wanted) == maxWanted {
		s.wanted = append(s.wanted[:0], Pattern{Path: "*"})
	} else {
		s.wanted = append(s.wanted, p)
	}
	s.due.Store(true)
}

// PurgeNow is Purge, carried out; it returns how many pages went. Not for any
// goroutine but the store's.
func (s *Store) PurgeNow(p Pattern) int {
	s.purge()
	return s.carryOut(&p)
}

// purge carries out the waiting purges.
func (s *Store) purge() {
	if !s.due.Load() {
		return
	}
	s.mu.Lock()
	wanted := s.wanted
	s.wanted = nil
	s.due.Store(false)
	s.mu.Unlock()
	for i := range wanted {
		s.carryOut(&wanted[i])
	}
}

func (s *Store) carryOut(p *Pattern) (gone int) {
	before := s.pages
	for f := range s.fills {
		f.purged = f.purged || f.named(p)
	}
	path, query, queried := p.Path, "", false
	prefix, wide := "", false
	if !p.Exact {
		path, query, queried = strings.Cut(p.Path, "?")
		prefix, wide = strings.CutSuffix(p.Path, "*")
	}
	if p.Tag == "" && !wide {
		for n := s.paths[string(http1.DecodePath(nil, []byte(path)))]; n != nil; {
			next := n.below
			if p.of(n) && (!queried || n.query() == query) {
				s.remove(n)
			}
			n = next
		}
		return before - s.pages
	}
	prefix = string(http1.DecodePath(nil, []byte(prefix)))
	for _, n := range s.nodes {
		switch {
		case !p.of(n):
		case p.Tag != "" && n.page != nil && n.page.hasTag(p.Tag):
			s.drop(n)
		case p.Tag == "" && strings.HasPrefix(n.path, prefix):
			s.remove(n)
		}
	}
	return before - s.pages
}

// named reports whether f may fetch a page of the pattern. Queries are
// not looked at: it is only not kept.
func (f *Fill) named(p *Pattern) bool {
	if p.Tag != "" {
		return true // not known yet
	}
	prefix, wide := p.Path, false
	if !p.Exact {
		prefix, _, _ = strings.Cut(p.Path, "?")
		prefix, wide = strings.CutSuffix(prefix, "*")
	}
	prefix = string(http1.DecodePath(nil, []byte(prefix)))
	return string(f.place) == prefix || wide && strings.HasPrefix(string(f.place), prefix)
}

// of says whether a node is of the pattern's host.
func (p *Pattern) of(n *node) bool { return p.Host == "" || strings.EqualFold(p.Host, n.host) }

// query returns the part behind "?" in the key.
func (n *node) query() string {
	rest := n.key
	for range 2 {
		_, rest, _ = strings.Cut(rest, "\x00")
	}
	rest, _, _ = strings.Cut(rest, "\x00")
	_, query, _ := strings.Cut(rest, "?")
	return query
}
