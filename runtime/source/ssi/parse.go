package ssi

import (
	"cmp"
	"fmt"
	"io"
	"os/user"
	"strings"
	"sync"
	"syscall"
	"time"

	"fapws/runtime/source/static"
)

const (
	startTag = "<!--#"
	endTag   = "-->"
)

// A document is a parsed page, immutable and safe for concurrent use.
type document struct {
	nodes []node
	size  int // approximate memory in bytes
}

type node struct {
	text    string
	element *element // nil if the node is text
}

type element struct {
	name string
	args []argument
	line int    // from 1
	bad  string // why the element cannot be executed; "" if it is valid

	asks bool
	// condition of an if or elif element; nil if the condition is invalid, and the string wrong contains the error
	holds condition
	wrong string
}

type argument struct {
	name     string
	value    string // without the enclosing quotes, and without the backslashes before quotes
	hasValue bool
}

// A page that exceeds these limits is an error.
const (
	maxElements = 10_000
	maxArgs     = 100
)

// parse parses a page. parse accepts any bytes, in linear time. An error in an element is reported when the element is
// executed. An element without an end tag is the last node.
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

const space = " \t\n\v\f\r"

var (
	nameEnd = pattern(endTag + `|[\s\v]`)
	// matches the name, and the "=" or the space after it
	argumentName = pattern("^([^\\s\\v=\"'`][^\\s\\v=]*|)([\\s\\v]*=[\\s\\v]*|[\\s\\v]+)")

	// A value is quoted, or ends at the next space. A backslash escapes only the quotes that enclose the value.
	argumentValue = pattern("(?s)^(?:\"(|.*?[^\\\\])\"|'(|.*?[^\\\\])'|`(|.*?[^\\\\])`|" +
		"([^\"'`\\s\\v][^\\s\\v]*)[\\s\\v])")
)

// parse parses an element after its start tag and returns the element's length, including its end tag. As in
// mod_include, the end tag is recognized only where an argument can begin; directly after a name or an unquoted value,
// "-->" is part of the name or value.
func (e *element) parse(s string) int {
	const unfinished = "an element is not finished at the end of the page"
	end := nameEnd().FindStringIndex(s)
	if end == nil {
		e.bad = unfinished
		return len(s)
	}
	e.name = strings.ToLower(s[:end[0]])
	if e.name == "" {
		e.bad = "element without a name"
	}
	for rest := s[end[0]:]; ; {
		rest = strings.TrimLeft(rest, space)
		if after, ends := strings.CutPrefix(rest, endTag); ends {
			return len(s) - len(after)
		}
		var a argument
		name := argumentName().FindStringSubmatch(rest)
		if name != nil {
			a.name, rest = strings.ToLower(name[1]), rest[len(name[0]):]
		}
		if name == nil || strings.Contains(name[2], "=") {
			value := argumentValue().FindStringSubmatch(rest)
			if value == nil {
				e.bad = unfinished
				return len(s)
			}
			rest = rest[len(value[0]):]
			a.value, a.hasValue = value[4], true
			if quote := value[0][:1]; a.value == "" {
				a.value = strings.ReplaceAll(value[1]+value[2]+value[3], `\`+quote, quote)
			}
			if a.name == "" {
				e.bad = cmp.Or(e.bad, "value without an argument name")
			}
		}
		if len(e.args) < maxArgs {
			e.args = append(e.args, a)
		} else {
			e.bad = cmp.Or(e.bad, "too many arguments")
		}
	}
}

type file struct {
	name     string // decoded path below the root: "/a/b.shtml"
	modified time.Time
	owner    string
	stamp    static.Stamp
	doc      *document
}

// load returns a parsed page. load parses the file only if it has changed since the page was cached.
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

// cache contains parsed pages, and removes all of them if their size exceeds maxParsed.
type cache struct {
	mu    sync.Mutex
	files map[string]*file
	size  int // size of all pages in bytes, including replaced pages
}

func (c *cache) get(name string) *file {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.files[name]
}

func (c *cache) put(f *file) {
	cost := 300 + len(f.name) + f.doc.size
	if cost > maxParsed/2 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.size+cost > maxParsed {
		clear(c.files)
		c.size = 0
	}
	c.files[f.name] = f
	c.size += cost
}
