package cache

import (
	"container/list"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"fapws/runtime/http1"
)

// Store keeps pages, within a number of bytes; the least recently used are evicted first.
type Store struct {
	limit, most int64
	used        int64
	nodes       map[string]*node
	paths       map[string][]*node // those with a path
	recent      list.List          // of nodes, the one used last in front
	pages       int
	fills       map[*Fill]struct{} // that have not ended
	now         int64              // of the last call
	ahead       int64              // of now: the clock of the machine, by which origins date pages, if it was set since the start
	count       [len(verdictFields)]int64
	key         []byte // scratch
}

// Stats is the state of a store, and counts its look-ups.
type Stats struct {
	Hits, Stale, Misses, Bypassed, Waited int64

	Revalidated int64 // of the misses: a 304 has confirmed the page
	Entries     int   // pages kept
	Bytes, Most int64 // used, and the limit
}

// New returns a store of at most limit bytes, with pages of at most page bytes;
// 0: an eighth of the limit, at most 1 MiB.
func New(limit, page int64) *Store {
	if page == 0 {
		page = min(limit/8, 1<<20)
	}
	return &Store{limit: limit, most: page, nodes: map[string]*node{}, paths: map[string][]*node{}, fills: map[*Fill]struct{}{}}
}

// node is the state of a key. It has no page while one is being fetched, or if it is known that it cannot be kept.
type node struct {
	key  string
	host string
	path string // percent-decoded
	at   int    // place in Store.paths
	page *Page
	fill *Fill // being fetched

	// vary are names of request fields that tell answers apart: pages are in
	// nodes with longer keys.
	vary []string

	pass         int64 // until when requests do not wait for each other
	passPersonal int64 // the same for requests with Cookie or Authorization
	again        int64 // when to try again to keep an answer, or to refresh a stale page
	excused      int64 // until when a stale page answers, as fetching another one has failed

	size  int64
	place *list.Element // in Store.recent
}

const (
	// overhead is the memory of a node or a page in addition to its bytes: structures and places in maps. A test
	// compares it with the heap.
	nodeOverhead  = 432
	pageOverhead  = 512
	codedOverhead = 64

	// passFor is how long it is remembered that an answer was not to be kept,
	// and tryEvery how often it is looked whether that is still so.
	passFor  = 60 * second
	tryEvery = second
)

// Stats returns the state of the store.
func (s *Store) Stats() Stats {
	n := &s.count
	return Stats{Hits: n[Hit], Stale: n[Stale], Misses: n[Miss] + n[Expired], Bypassed: n[Bypass], Waited: n[Wait], Revalidated: n[Revalidated],
		Entries: s.pages, Bytes: s.used, Most: s.limit}
}

// grow makes room for n bytes; false: there is none.
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

// node returns the node of a key, which is made if it is missing; nil: there is no room.
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

// remove forgets a node. A fetch of it goes on for the requests that wait.
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

// drop takes the page out of a node.
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

// use makes n the last to be thrown out.
func (s *Store) use(n *node) { s.recent.MoveToFront(n.place) }

// growFor is grow for something that n is to have. false: there is no room, or n had to be thrown out.
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

// PurgeNow evicts pages, and returns how many went. Pages that are being fetched are not kept, either. All pages are looked at
// once at most, however many patterns have tags or prefixes.
func (s *Store) PurgeNow(all ...Pattern) (gone int) {
	before := s.pages
	tags, prefixes := map[string][]*Pattern{}, map[string][]*Pattern{}
	lengths := map[int]bool{} // of the prefixes
	for i := range all {
		p := &all[i]
		path, query, wide, queried := p.parts()
		for f := range s.fills { // hosts and queries are not looked at, and tags are not known yet: the page is only not kept
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

// parts returns the path of a pattern as nodes have it, which is a prefix if wide, and the query if a page with that alone is meant.
func (p *Pattern) parts() (path, query string, wide, queried bool) {
	path = p.Path
	if !p.Exact {
		if path, wide = strings.CutSuffix(path, "*"); !wide {
			path, query, queried = strings.Cut(path, "?")
		}
	}
	return string(http1.DecodePath(nil, []byte(path))), query, wide, queried
}

// of says whether a node is of the pattern's host.
func (p *Pattern) of(n *node) bool { return p.Host == "" || strings.EqualFold(p.Host, n.host) }

// isOf says whether a node is of the host of one of these patterns.
func (n *node) isOf(some []*Pattern) bool {
	return slices.ContainsFunc(some, func(p *Pattern) bool { return p.of(n) })
}

// query returns the part behind "?" in the key.
func (n *node) query() string {
	target := strings.Split(n.key, "\x00")[2] // behind scheme and host
	_, query, _ := strings.Cut(target, "?")
	return query
}
