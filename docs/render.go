package docs

import (
	"regexp"
	"strings"
	"sync"
	"unicode/utf8"
)

var (
	pageLink  = pattern(`!?\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\([^()\s]*\)`)
	htmlLine  = pattern(`^</?[a-z]`)
	listItem  = pattern(`^ *(?:[-*]|\d+\.) +`)
	separator = pattern(`^\|[-:| ]*-[-:| ]*\|$`)
	cellEnd   = pattern(`([^\\]|^)\|`)
)

// pattern returns a function that compiles a regular expression at its first call, because a server prints no pages.
func pattern(text string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
}

// Render returns a text in Markdown for a terminal: paragraphs and lists wrapped to width columns, a table as a list of
// terms with their text, and links as their text. Blocks of code do not change.
func Render(text string, width int) string {
	r := renderer{width: max(width, 40)}
	fenced := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		switch trimmed := strings.TrimSpace(line); {
		case strings.HasPrefix(trimmed, "```"):
			r.end()
			fenced = !fenced
			r.line(line)
		case fenced:
			r.line(line)
		case trimmed == "" || strings.HasPrefix(line, "#"):
			r.end()
			r.line(pageLink().ReplaceAllString(line, "$1"))
		case htmlLine().MatchString(trimmed):
			r.end()
		case strings.HasPrefix(line, "|"):
			r.row(line)
		default:
			if start := listItem().FindString(line); start != "" {
				r.end()
				r.first, r.rest = start, strings.Repeat(" ", len(start))
				line = line[len(start):]
			}
			r.words = append(r.words, strings.Fields(line)...)
		}
	}
	r.end()
	return pageLink().ReplaceAllString(r.out.String(), "$1")
}

// A renderer collects the words of a paragraph or list item, and the columns of a table, until they end.
type renderer struct {
	out         strings.Builder
	width       int
	words       []string
	first, rest string   // indentation of the paragraph
	columns     []string // titles of the table; nil outside of tables
}

func (r *renderer) line(text string) {
	r.out.WriteString(text)
	r.out.WriteByte('\n')
}

// end writes the paragraph or list item, and ends a table.
func (r *renderer) end() {
	line, length := r.first, len(r.first)
	words := strings.Fields(pageLink().ReplaceAllString(strings.Join(r.words, " "), "$1"))
	for i, word := range words {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
			line, length = line+word, length+n
		case length+1+n > r.width:
			r.line(line)
			line, length = r.rest+word, len(r.rest)+n
		default:
			line, length = line+" "+word, length+1+n
		}
	}
	if len(words) > 0 {
		r.line(line)
	}
	r.words, r.first, r.rest, r.columns = nil, "", "", nil
}

// row writes a row of a table: its first cell, and the others indented, with the titles of their columns from the third.
func (r *renderer) row(line string) {
	if separator().MatchString(line) {
		return
	}
	var cells []string
	for cell := range strings.SplitSeq(cellEnd().ReplaceAllString(strings.Trim(line, "|"), "$1\x00"), "\x00") {
		cells = append(cells, strings.ReplaceAll(strings.TrimSpace(cell), `\|`, "|"))
	}
	if r.columns == nil {
		r.end()
		r.columns = cells
		return
	}
	columns := r.columns
	for i, cell := range cells {
		if cell == "" || cell == "–" {
			continue
		}
		r.first = strings.Repeat(" ", 2*min(i, 1))
		r.rest = r.first
		if i > 1 && i < len(columns) && columns[i] != "" {
			cell = columns[i] + ": " + cell
		}
		r.words = strings.Fields(cell)
		r.end()
	}
	r.columns = columns
}
