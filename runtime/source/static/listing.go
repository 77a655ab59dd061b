package static

import (
	"cmp"
	_ "embed"
	"fmt"
	"html"
	"io"
	"io/fs"
	"net/url"
	"sort"
	"strings"

	"fapws/runtime/http1"
)

const maxListed = 10000

const listingFields = "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; " +
	"form-action 'none'\r\n"

//go:embed listing.css
var listingStyle string

type listed struct {
	name string
	info fs.FileInfo
}

// order is the order of a listing, selected by the query of a request as in Apache, for example ?C=S;O=D.
type order struct {
	column    byte // N (name), M (modified) or S (size)
	direction byte // A (ascending) or D (descending)
}

var byName = order{'N', 'A'}

// orderOf parses the query of a request, and returns byName if the query is invalid.
func orderOf(req *FileRequest) order {
	q := req.Parsed.Query.In(req.Head)
	if len(q) != len("C=N;O=A") || string(q[:2]) != "C=" || q[3] != ';' && q[3] != '&' ||
		string(q[4:6]) != "O=" || q[2] != 'N' && q[2] != 'M' && q[2] != 'S' || q[6] != 'A' && q[6] != 'D' {
		return byName
	}
	return order{q[2], q[6]}
}

func (o order) compare(a, b listed) int {
	directory := a.info.IsDir()
	if directory != b.info.IsDir() {
		if directory {
			return -1
		}
		return 1
	}
	var c int
	switch {
	case o.column == 'M':
		c = a.info.ModTime().Compare(b.info.ModTime())
	case o.column == 'S' && !directory:
		c = cmp.Compare(a.info.Size(), b.info.Size())
	}
	c = cmp.Or(c, compareNames(a.name, b.name), cmp.Compare(a.name, b.name))
	if o.direction == 'D' {
		return -c
	}
	return c
}

// compareNames compares names such that "file2" precedes "file10": digits are compared as the number that they form.
func compareNames(a, b string) int {
	for a != "" && b != "" {
		x, y := number(a), number(b)
		if x == 0 || y == 0 {
			if a[0] != b[0] {
				return cmp.Compare(a[0], b[0])
			}
			a, b = a[1:], b[1:]
			continue
		}
		m, n := strings.TrimLeft(a[:x], "0"), strings.TrimLeft(b[:y], "0")
		if c := cmp.Or(cmp.Compare(len(m), len(n)), strings.Compare(m, n)); c != 0 {
			return c
		}
		a, b = a[x:], b[y:]
	}
	return cmp.Compare(len(a), len(b))
}

// number returns the number of digits at the beginning of name.
func number(name string) int { return len(name) - len(strings.TrimLeft(name, "0123456789")) }

// appendShown appends the requested path in canonical form, so that the cache does not contain a page for each spelling
// of the path.
func (req *FileRequest) appendShown(dst []byte) []byte {
	dst = append(dst, req.Prefix...)
	raw, start := req.Parsed.Path.In(req.Head), len(dst)
	all, ok := http1.ResolvePath(dst, raw)
	if !ok {
		return append(dst, raw...)
	}
	return append(all[:start], http1.MergeSlashes(all[start:start], all[start:])...)
}

// readDirectory returns the entries of a directory, directories first. most limits their number, and truncated is true
// if there are further entries. It omits hidden files and links that lead outside the root.
func (t *view) readDirectory(name string, o *Options, order order, most int) (entries []listed, truncated bool, err error) {
	file, _, err := t.open(name)
	if err != nil {
		return nil, false, err
	}
	defer file.Close()
	dir := &view{dir: &directory{fd: int(file.Fd()), users: 1}, policy: LinksNo}
	names, err := file.Readdirnames(most + 1)
	if err != nil && err != io.EOF {
		return nil, false, err
	}
	if truncated = len(names) > most; truncated {
		names = names[:most]
	}
	for _, entry := range names {
		if !allowed([]byte(entry), o.DotFiles) || t.guard.hides(entry) && !o.isProgram(entry) {
			continue
		}
		info, err := dir.statAny(entry)
		link := err == errOutside
		if link {
			// Follow the link from the root, as for a request for the link's path.
			info, err = t.stat(name + "/" + entry)
		}
		if err == nil && info.Mode().IsRegular() && (link || t.guard.mayBeKey(entry) || t.hasHiddenName(info)) {
			err = t.shows(name + "/" + entry)
		}
		if err == nil && (info.IsDir() || info.Mode().IsRegular()) && !t.guard.private.has(info) {
			entries = append(entries, listed{entry, info})
		}
	}
	sort.Slice(entries, func(i, j int) bool { return order.compare(entries[i], entries[j]) < 0 })
	return entries, truncated, nil
}

func listing(title string, parent bool, entries []listed, truncated bool, order order) []byte {
	title = "Index of " + html.EscapeString(strings.ToValidUTF8(title, "\uFFFD"))
	b := []byte("<main><h1>" + title + "</h1>\n<table>\n<tr>")
	for _, column := range [...]struct {
		letter byte
		title  string
	}{{'N', "Name"}, {'S', "Size"}, {'M', "Modified (UTC)"}} {
		// The heading of the current sort column reverses the order.
		direction, sorted := 'A', ""
		if column.letter == order.column {
			sorted = ` aria-sort="ascending"`
			if order.direction == 'A' {
				direction = 'D'
			} else {
				sorted = ` aria-sort="descending"`
			}
		}
		b = fmt.Appendf(b, `<th%s><a href="?C=%c;O=%c">%s</a>`, sorted, column.letter, direction, column.title)
	}
	b = append(b, '\n')
	if parent {
		b = append(b, "<tr><td><a href=\"../\">../</a><td><td>\n"...)
	}
	for _, entry := range entries {
		slash := ""
		if entry.info.IsDir() {
			slash = "/"
		}
		href, name := html.EscapeString(url.PathEscape(entry.name)),
			html.EscapeString(strings.ToValidUTF8(entry.name, "\uFFFD"))
		// Without "./", "a:b" would be interpreted as a URL with the scheme a.
		b = append(b, `<tr><td><a href="./`+href+slash+`">`+name+slash+"</a><td>"...)
		if !entry.info.IsDir() {
			b = appendSize(b, entry.info.Size())
		}
		b = append(b, "<td>"...)
		b = entry.info.ModTime().UTC().AppendFormat(b, "2006-01-02 15:04")
		b = append(b, '\n')
	}
	if len(entries) == 0 {
		b = append(b, "<tr><td colspan=3 class=dim>This directory is empty.\n"...)
	}
	b = append(b, "</table>\n"...)
	if truncated {
		b = fmt.Appendf(b, "<p>The directory has more than these %d entries.</p>\n", len(entries))
	}
	return http1.Document(title, "<style>\n"+listingStyle+"</style>\n", string(append(b, "</main>"...)))
}

func appendSize(b []byte, size int64) []byte {
	if size < 1024 {
		return fmt.Appendf(b, "%d B", size)
	}
	value := float64(size)
	unit := -1
	for value >= 1023.5 {
		value /= 1024
		unit++
	}
	digits := 0
	if value < 10 {
		digits = 1
	}
	return fmt.Appendf(b, "%.*f %ciB", digits, value, "KMGTPE"[unit])
}
