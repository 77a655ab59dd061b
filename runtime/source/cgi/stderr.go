package cgi

import (
	"bytes"
	"fmt"
)

// Bounds of a program's standard error for one request.
const (
	maxLine  = 1000 // bytes; the rest of a line is left out
	maxLines = 200
)

// Lines cuts its input into lines for a log. One goroutine may use it.
type Lines struct {
	Log  func(line string)
	line []byte
	cut  bool
	said int
}

// Write implements io.Writer. It never fails.
func (l *Lines) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		piece := p
		if end >= 0 {
			piece = p[:end]
		}
		if room := maxLine - len(l.line); len(piece) > room {
			piece, l.cut = piece[:room], true
		}
		l.line = append(l.line, piece...)
		if end < 0 {
			break
		}
		p = p[end+1:]
		l.end()
	}
	return n, nil
}

// Close logs a last line that has no end, and how many were left out.
func (l *Lines) Close() {
	if len(l.line) > 0 {
		l.end()
	}
	if l.said > maxLines {
		l.Log(fmt.Sprintf("... and %d more lines", l.said-maxLines))
	}
}

func (l *Lines) end() {
	line := bytes.TrimRight(l.line, "\r \t")
	if len(line) > 0 {
		if l.said++; l.said <= maxLines {
			text := string(line)
			if l.cut {
				text += "..."
			}
			l.Log(text)
		}
	}
	l.line, l.cut = l.line[:0], false
}
