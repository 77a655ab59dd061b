package static

import (
	"cmp"
	"html"
	"io"
	"io/fs"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"fapws/runtime/exchange"
)

// maxListed bounds the page for a directory.
const maxListed = 10000

const listingFields = "Cache-Control: no-cache\r\n" +
	"Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\r\n" +
	"X-Content-Type-Options: nosniff\r\n" +
	"Content-Type: text/html; charset=utf-8\r\n"

const listingTop = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>`

const listingStyle = `</title>
<style>
body{font:16px/1.5 system-ui,sans-serif;max-width:50em;margin:auto;padding:1em}
h1{font-size:1.2em;overflow-wrap:anywhere}
table{width:100%;border-collapse:collapse}
th{text-align:left;font-weight:600}
td,th{padding:.3em .5em;border-bottom:1px solid #8884}
td:first-child{overflow-wrap:anywhere}
td:nth-child(n+2),th:nth-child(n+2){text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
a{display:block;text-decoration:none}
a:hover{text-decoration:underline}
@media(max-width:30em){td:nth-child(3),th:nth-child(3){display:none}}
</style>
`

// listed is a line of a listing.
type listed struct {
	name string
	info fs.FileInfo
}

// list answers with the content of a directory, given by its clean path.
func (f *Files) list(dir *os.Root, path string, req *Request, out *Response) {
	name := strings.Trim(path, "/")
	if name == "" {
		name = "."
	}
	entries, more, err := f.readDirectory(dir, name, maxListed)
	if err != nil {
		out.fail(statusOf(err), req.Parsed.Head)
		return
	}
	title := string(req.Parsed.Path.In(req.Head))
	if decoded, err := url.PathUnescape(title); err == nil {
		title = decoded
	}
	page := appendListing(nil, req.Prefix+title, name != ".", entries, more)
	out.Head = exchange.Head{Status: 200, Fields: []byte(listingFields), Length: int64(len(page))}
	if !req.Parsed.Head {
		out.Segments = append(out.Segments[:0], Segment{Data: page})
	}
}

// readDirectory returns what of a directory may be asked for, directories
// first, by name, and whether there is more than the most that is wanted. What is no file or directory, is hidden or leads outside is
// not shown, for it would not be served.
func (f *Files) readDirectory(dir *os.Root, name string, most int) (entries []listed, more bool, err error) {
	file, err := openFile(dir, name)
	if err != nil {
		return nil, false, err
	}
	defer file.Close()
	names, err := file.Readdirnames(most + 1)
	if err != nil && err != io.EOF {
		return nil, false, err
	}
	if more = len(names) > most; more {
		names = names[:most]
	}
	for _, entry := range names {
		if !allowed([]byte(entry), f.opt.DotFiles) {
			continue
		}
		// Through the root again, which follows links as a request would.
		info, err := dir.Stat(name + "/" + entry)
		if err == nil && (info.IsDir() || info.Mode().IsRegular()) {
			entries = append(entries, listed{entry, info})
		}
	}
	slices.SortFunc(entries, func(a, b listed) int {
		if a.info.IsDir() != b.info.IsDir() {
			if a.info.IsDir() {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.name, b.name)
	})
	return entries, more, nil
}

func appendListing(b []byte, title string, parent bool, entries []listed, more bool) []byte {
	title = html.EscapeString(title)
	b = append(b, listingTop...)
	b = append(b, title...)
	b = append(b, listingStyle...)
	b = append(b, "<h1>"...)
	b = append(b, title...)
	b = append(b, "</h1>\n<table>\n<tr><th>Name<th>Size<th>Modified (UTC)\n"...)
	if parent {
		b = append(b, "<tr><td><a href=\"../\">..</a><td><td>\n"...)
	}
	for _, entry := range entries {
		slash := ""
		if entry.info.IsDir() {
			slash = "/"
		}
		b = append(b, `<tr><td><a href="./`...) // "./" or "a:b" would be a scheme
		b = append(b, html.EscapeString(url.PathEscape(entry.name))...)
		b = append(b, slash...)
		b = append(b, `">`...)
		b = append(b, html.EscapeString(strings.ToValidUTF8(entry.name, "\uFFFD"))...)
		b = append(b, slash...)
		b = append(b, "</a><td>"...)
		if !entry.info.IsDir() {
			b = appendSize(b, entry.info.Size())
		}
		b = append(b, "<td>"...)
		b = entry.info.ModTime().UTC().AppendFormat(b, "2006-01-02 15:04")
		b = append(b, '\n')
	}
	b = append(b, "</table>\n"...)
	if more {
		b = append(b, "<p>There is more than can be shown here.</p>\n"...)
	}
	return b
}

// appendSize writes a size for people, with three digits or four.
func appendSize(b []byte, size int64) []byte {
	if size < 1024 {
		b = strconv.AppendInt(b, size, 10)
		return append(b, " B"...)
	}
	value := float64(size)
	unit := -1
	for value >= 1024 {
		value /= 1024
		unit++
	}
	digits := 0
	if value < 10 {
		digits = 1
	}
	b = strconv.AppendFloat(b, value, 'f', digits, 64)
	return append(b, ' ', "KMGTPE"[unit], 'i', 'B')
}
