package ctl

import (
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/process"
)

// Control sequences for terminals (ECMA-48 §8.3).
const (
	bold  = "\x1b[1m"
	dim   = "\x1b[2m"
	red   = "\x1b[31m"
	amber = "\x1b[33m"
	plain = "\x1b[0m"
)

// A screen is the output of "fapws ctl top". On a terminal, each new text replaces the previous text. The channel keys
// receives keystrokes. The channel is nil unless standard input is the same terminal.
type screen struct {
	w        io.Writer
	terminal *os.File // nil if w is not a terminal, or before open
	color    bool
	keys     chan byte
}

// open uses w as a terminal, if it is one, until the function close is called.
func (s *screen) open() (close func()) {
	f, ok := s.w.(*os.File)
	if !ok || !process.IsTerminal(int(f.Fd())) {
		return func() {}
	}
	s.terminal, s.color = f, os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	restore, err := process.ChangeTerminal(0, unix.ICANON|unix.ECHO, s.w)
	if err != nil {
		return func() {}
	}
	s.keys = make(chan byte)
	go func() {
		var b [1]byte
		for {
			if n, err := os.Stdin.Read(b[:]); n == 0 || err != nil {
				return
			}
			s.keys <- b[0]
		}
	}()
	return restore
}

// width returns the number of columns, or 0 if lines can have any length.
func (s *screen) width() int {
	_, columns := s.size()
	return columns
}

func (s *screen) size() (rows, columns int) {
	if s.terminal == nil {
		return 0, 0
	}
	size, err := unix.IoctlGetWinsize(int(s.terminal.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0
	}
	return int(size.Row), int(size.Col)
}

// paint adds control sequences for the style to text if the terminal supports styles.
func (s *screen) paint(style, text string) string {
	if !s.color || style == "" || text == "" {
		return text
	}
	return style + text + plain
}

// show writes the lines, shortened to the width of the screen. On a terminal, it also writes hint in the last row.
func (s *screen) show(lines []string, hint string) error {
	rows, columns := s.size()
	if rows == 0 || columns == 0 {
		_, err := io.WriteString(s.w, strings.Join(lines, "\n")+"\n")
		return err
	}
	var b strings.Builder
	b.WriteString("\x1b[H")
	for _, line := range lines[:min(len(lines), max(rows-1, 0))] {
		b.WriteString(line + "\x1b[K\n")
	}
	b.WriteString("\x1b[J\x1b[" + strings.Repeat("9", 3) + "H" + s.paint(dim, fit(hint, columns-1)))
	_, err := io.WriteString(s.w, b.String())
	return err
}

// fit shortens text to at most n characters; n must not be negative.
func fit(text string, n int) string {
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	if n < 2 {
		return ""
	}
	return string([]rune(text)[:n-1]) + "…"
}

// wrap splits text at spaces into lines of at most n characters; 0 means any length.
func wrap(text string, n int) (lines []string) {
	for n > 0 && utf8.RuneCountInString(text) > n {
		head := string([]rune(text)[:n+1])
		at := strings.LastIndexByte(head, ' ')
		if at <= 0 {
			break
		}
		lines, text = append(lines, text[:at]), text[at+1:]
	}
	if n > 0 {
		text = fit(text, n)
	}
	return append(lines, text)
}
