package cache

import (
	"container/list"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"fapws/runtime/http1"
)

// Store keeps pages within a limit of bytes, and evicts the least recently used pages first.
type Store struct {
	limit, most int64
	used        int64
	nodes       map[string]*node
	paths       map[string][]*node
	recent      list.List // most recently used node first
	pages       int
	fills       map[*Fill]struct{}
	// difference between the system clock and the times of the store, which is not 0 if the system clock was set after
	// the start of the server; needed because origins take Date from the system clock
	ahead int64
	count [len(statusFields)]int64
	key   []byte
}

type Stats struct {
	Hits, Stale, Misses, Bypassed, Waited int64

	Revalidated int64 // number of 304 responses from handlers that confirmed a page
	Entries     int
	Bytes, Most int64
}

// New returns a store for at most limit bytes. page limits the size of a page in bytes; 0 means an eighth of limit, at
// most 1 MiB.
func New(limit, page int64) *Store {
	if page == 0 {
		page = min(limit/8, 1<<20)
	}
	return &Store{limit: limit, most: page, nodes: map[string]*node{}, paths: map[string][]*node{},
		fills: map[*Fill]struct{}{}}
}

// A node contains what the store knows about a key. A node has no page while the first response is being fetched, or if
// the response could not be stored.
type node struct {
	key  string
	host string
	path string
	at   int
	page *Page
	fill *Fill // running fetch of the page, or nil

	// vary contains the names of request fields on which the response depends. If vary is not empty, the pages are in
	// other nodes, whose keys include the values of these fields.
	vary []string

	pass         int64 // requests for the page do not wait for each other until this time
	passPersonal int64 // like pass, for requests with Cookie or Authorization
	// time of the next attempt to store a response, or to refresh a stale page
	again int64
	// a stale page is sent until this time, because a fetch has failed
	excused int64

	size  int64
	place *list.Element
}

const (
	// memory for the structures and map entries of a node or page, in addition to its contents, in bytes; compared with
	// the heap by a test
	nodeOverhead  = 432
	pageOverhead  = 512
	codedOverhead = 64

	// passFor is how long the store remembers that a response could not be stored. During this time, tryEvery is the
	// interval between new attempts to store a response.
	passFor  = 60 * second
	tryEvery = second
)

func (s *Store) Stats() Stats {
	n := &s.count
	return Stats{Hits: n[Hit], Stale: n[Stale], Misses: n[Miss] + n[Expired], Bypassed: n[Bypass], Waited: n[Wait],
		Revalidated: n[Revalidated], Entries: s.pages, Bytes: s.used, Most: s.limit}
}

// grow makes room for n bytes, or returns false if that is impossible.
func (s *Store) grow(n int64) bool {
	for s.used+n > s.limit {
		oldest := s.recent.Back()
		if oldest == nil {
			return false
		}
		s.remove(oldest.Value.(*node))
	}
	s.used += n
	return true
}

// node returns the node for a key, and creates it if necessary, or returns nil without room.
func (s *Store) node(key []byte, path string) *node {
	if n := s.nodes[string(key)]; n != nil {
		return n
	}
	size := int64(nodeOverhead + len(key) + len(path))
	if !s.grow(size) {
		return nil
	}
	n := &node{key: string(key), path: path, at: len(s.paths[path]), size: size}
	n.host = strings.SplitN(n.key, "\x00", 3)[1]
	s.nodes[n.key] = n
	s.paths[n.path] = append(s.paths[n.path], n)
	n.place = s.recent.PushFront(n)
	return n
}

// remove evicts a node. A running fetch of its page continues for the waiting requests.
func (s *Store) remove(n *node) {
	s.drop(n)
	s.recent.Remove(n.place)
	s.used -= n.size
	delete(s.nodes, n.key)
	if n.fill != nil {
		n.fill.node = nil
	}
	same := s.paths[n.path]
	last := len(same) - 1
	same[n.at] = same[last]
	same[n.at].at = n.at
	if s.paths[n.path] = slices.Delete(same, last, last+1); last == 0 {
		delete(s.paths, n.path)
	}
}

func (s *Store) drop(n *node) {
	if n.page != nil {
		s.used -= n.page.size()
		s.pages--
		n.page.in = nil
		n.page = nil
	}
}

func (p *Page) size() int64 {
	size := pageOverhead + len(p.Reason) + len(p.Fields) + len(p.Body) + len(p.etag) + len(p.date)
	for _, tag := range p.tags {
		size += 16 + len(tag)
	}
	if p.coded != nil {
		return int64(size) + codedOverhead + p.coded.size
	}
	return int64(size)
}

func (s *Store) use(n *node) { s.recent.MoveToFront(n.place) }

// growFor makes room for size additional bytes of the node n. growFor returns false without room, or if n itself
// was evicted to make room.
func (s *Store) growFor(n *node, size int64) bool {
	s.use(n)
	if !s.grow(size) {
		return false
	}
	if s.nodes[n.key] != n {
		s.used -= size
		return false
	}
	return true
}

type Pattern struct {
	// Host is the host name, with a port unless it is the scheme's default port; "" means all hosts.
	Host string `json:"host,omitempty"`
	// Path is a path ("/page", with any query), a path with a query ("/page?a=1"), a prefix ("/blog/*"), or "*" for all
	// pages.
	Path  string `json:"path,omitempty"`
	Exact bool   `json:"exact,omitempty"` // "*" and "?" in Path have no special meaning
	// Tag matches pages with this tag in the field Fapws-Cache-Tags, and is used instead of Path.
	Tag string `json:"tag,omitempty"`
}

// ParsePattern parses a Pattern in JSON; its errors have one line.
func ParsePattern(text string) (p Pattern, err error) {
	if err = json.Unmarshal([]byte(text), &p); err == nil {
		err = p.Check()
	}
	return p, err
}

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

// PurgeNow evicts the pages that match a pattern, and returns their number. Matching pages that are being fetched will
// not be kept. PurgeNow iterates over all pages at most once, even if many patterns have tags or prefixes.
func (s *Store) PurgeNow(patterns ...Pattern) (gone int) {
	before := s.pages
	tags, prefixes := map[string][]*Pattern{}, map[string][]*Pattern{}
	lengths := map[int]bool{}
	for i := range patterns {
		p := &patterns[i]
		path, query, wide, queried := p.parts()
		// For running fetches, compare only the paths. Therefore a page may not be stored although its query or host
		// does not match the pattern.
		for f := range s.fills {
			f.purged = f.purged || p.Tag != "" || f.path == path || wide && strings.HasPrefix(f.path, path)
		}
		switch {
		case p.Tag != "":
			tag := strings.ToLower(p.Tag)
			tags[tag] = append(tags[tag], p)
		case wide:
			prefixes[path], lengths[len(path)] = append(prefixes[path], p), true
		default:
			for _, n := range slices.Clone(s.paths[path]) {
				if p.of(n) && (!queried || n.query() == query) {
					s.remove(n)
				}
			}
		}
	}
	if len(tags)+len(prefixes) == 0 {
		return before - s.pages
	}
	for _, n := range s.nodes {
		for length := range lengths {
			if length <= len(n.path) && n.isOf(prefixes[n.path[:length]]) {
				s.remove(n)
				break
			}
		}
		for i := 0; n.page != nil && i < len(n.page.tags) && len(tags) > 0; i++ {
			if n.isOf(tags[strings.ToLower(n.page.tags[i])]) {
				s.drop(n)
			}
		}
	}
	return before - s.pages
}

// parts returns the decoded path of a pattern, as in node.path, and the query. wide is true if the path is a prefix.
// queried is true if the pattern matches only pages with this query.
func (p *Pattern) parts() (path, query string, wide, queried bool) {
	path = p.Path
	if !p.Exact {
		if path, wide = strings.CutSuffix(path, "*"); !wide {
			path, query, queried = strings.Cut(path, "?")
		}
	}
	return string(http1.DecodePath(nil, []byte(path))), query, wide, queried
}

func (p *Pattern) of(n *node) bool { return p.Host == "" || strings.EqualFold(p.Host, n.host) }

func (n *node) isOf(patterns []*Pattern) bool {
	return slices.ContainsFunc(patterns, func(p *Pattern) bool { return p.of(n) })
}

func (n *node) query() string {
	target := strings.Split(n.key, "\x00")[2]
	_, query, _ := strings.Cut(target, "?")
	return query
}
