package ssi

import (
	"fmt"
	"io"
	"os/user"
	"strings"
	"sync"
	"syscall"
	"time"

	"fapws/runtime/source/static"
)

// The tags around an element.
const (
	startTag = "<!--#"
	endTag   = "-->"
)

// document is a parsed page. It does not change and may be used by any number
// of goroutines.
type document struct {
	nodes []node
	size  int // bytes of memory, about
}

// node is a piece of a page: text as it stands there, or an element.
type node struct {
	text    string
	element *element // nil: text
}

// element is <!--#name arg="value" ... -->.
type element struct {
	name string // in lower case
	args []argument
	line int    // of the page, from 1
	bad  string // why it cannot be used, "" if it can

	// Of an if or elif:
	asks  bool      // it has an expression
	holds condition // ready to be evaluated; nil: wrong says why not
	wrong string
}

// argument is one of an element. A name alone has no value.
type argument struct {
	name     string // in lower case
	value    string // quotes and their escapes removed
	hasValue bool
}

// The limits of a page. To exceed them is an error of the page.
const (
	maxElements = 10_000
	maxArgs     = 100
)

// parse reads a page. It takes any bytes, in linear time; an error in an element is reported when it is carried out.
// An element without an end is the last node.
func parse(page string) *document {
	d := &document{size: len(page)}
	elements, line := 0, 1
	for page != "" {
		i := strings.Index(page, startTag)
		if i < 0 {
			d.nodes = append(d.nodes, node{text: page})
			break
		}
		if i > 0 {
			d.nodes = append(d.nodes, node{text: page[:i]})
		}
		line += strings.Count(page[:i], "\n")
		page = page[i:]
		e := &element{line: line}
		n := len(page)
		if elements++; elements > maxElements {
			e.bad = "the page has too many elements"
		} else {
			n = len(startTag) + e.parse(page[len(startTag):])
		}
		if e.name == "if" || e.name == "elif" {
			e.compile()
		}
		d.nodes = append(d.nodes, node{element: e})
		d.size += 200 + 80*len(e.args)
		line += strings.Count(page[:n], "\n")
		page = page[n:]
	}
	return d
}

// parse reads an element behind its start tag and returns the length of it with its end tag. The rules are those of
// mod_include, which looks for the end only where an argument may begin: text behind a name or an unquoted value,
// without a space, belongs to it.
func (e *element) parse(s string) int {
	i := strings.IndexAny(s, space)
	if tag := strings.Index(s, endTag); tag >= 0 && (i < 0 || tag < i) {
		e.setName(s[:tag])
		return tag + len(endTag)
	}
	if i < 0 {
		return e.unfinished(s)
	}
	e.setName(s[:i])
	for rest, ok := s[i:], true; ; {
		rest = strings.TrimLeft(rest, space)
		if after, ends := strings.CutPrefix(rest, endTag); ends {
			return len(s) - len(after)
		}
		if rest, ok = e.argument(rest); !ok {
			return e.unfinished(s)
		}
	}
}

func (e *element) setName(name string) {
	if e.name = strings.ToLower(name); name == "" {
		e.fail("element without a name")
	}
}

// fail notes the first thing that is wrong.
func (e *element) fail(why string) {
	if e.bad == "" {
		e.bad = why
	}
}

func (e *element) unfinished(s string) int {
	e.bad = "an element is not finished at the end of the page"
	return len(s)
}

// argument reads name, name=value or name="value" and returns what is behind it; ok
// is false when the page ends in it.
func (e *element) argument(s string) (rest string, ok bool) {
	var a argument
	if s != "" && !isQuote(s[0]) {
		i := strings.IndexAny(s, space+"=")
		if i < 0 {
			return "", false
		}
		a.name = strings.ToLower(s[:i])
		rest = strings.TrimLeft(s[i:], space)
		if s, ok = strings.CutPrefix(rest, "="); !ok {
			e.add(a)
			return rest, rest != ""
		}
		s = strings.TrimLeft(s, space)
	}
	if s == "" {
		return "", false
	}
	if a.name == "" {
		e.fail("value without an argument name")
	}
	a.value, rest, ok = cutValue(s)
	a.hasValue = true
	e.add(a)
	return rest, ok
}

func (e *element) add(a argument) {
	if len(e.args) == maxArgs {
		e.fail("too many arguments")
		return
	}
	e.args = append(e.args, a)
}

// cutValue reads a value, quoted or up to the next space, and returns it with
// what is behind it. A backslash before a quote of the kind around
// the value makes it part of it; other backslashes stay.
func cutValue(s string) (value, rest string, ok bool) {
	if !isQuote(s[0]) {
		i := strings.IndexAny(s, space)
		if i < 0 {
			return "", "", false
		}
		return s[:i], s[i+1:], true
	}
	quote := s[0]
	var b strings.Builder
	for n := 1; n < len(s); n++ {
		switch {
		case s[n] == '\\' && n+1 < len(s) && s[n+1] == quote:
			n++
		case s[n] == quote:
			return b.String(), s[n+1:], true
		}
		b.WriteByte(s[n])
	}
	return "", "", false
}

func isQuote(c byte) bool { return c == '"' || c == '\'' || c == '`' }

// space are the characters of C's isspace.
const space = " \t\n\v\f\r"

func isSpace(c byte) bool { return strings.IndexByte(space, c) >= 0 }

// file is a page as it was read.
type file struct {
	name     string // decoded path below the root: "/a/b.shtml"
	modified time.Time
	owner    string // name of its owner
	stamp    static.Stamp
	doc      *document
}

// load returns a page, from memory if its file has not changed.
func (s *Pages) load(name string) (*file, error) {
	opened, info, err := s.opt.Files.OpenPath(name)
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	now := time.Now().UnixNano()
	f := &file{name: name, modified: info.ModTime(), owner: "<unknown>", stamp: static.StampOf(info)}
	if known := s.cache.get(name); known != nil && known.stamp == f.stamp {
		return known, nil
	}
	text, err := io.ReadAll(io.LimitReader(opened, maxPage+1))
	if err == nil && len(text) > maxPage {
		err = errTooLarge
	}
	if err != nil {
		return nil, err
	}
	f.doc = parse(string(text))
	if u, err := user.LookupId(fmt.Sprint(info.Sys().(*syscall.Stat_t).Uid)); err == nil {
		f.owner = u.Username
	}
	if f.stamp.Settled(now) {
		s.cache.put(f)
	}
	return f, nil
}

// cache holds parsed pages. When they are too many, all of them go.
type cache struct {
	limit int // bytes

	mu    sync.Mutex
	files map[string]*file // by name
	size  int              // bytes of all, and of those that others have replaced
}

func (c *cache) get(name string) *file {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.files[name]
}

func (c *cache) put(f *file) {
	cost := 300 + len(f.name) + f.doc.size
	if cost > c.limit/2 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.size+cost > c.limit {
		clear(c.files)
		c.size = 0
	}
	c.files[f.name] = f
	c.size += cost
}
