package plan

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"syscall"

	"fapws/runtime/logfile"
)

// stamp is the format of the time in lines on standard error.
const stamp = "2006-01-02 15:04:05.000 -0700 "

type look int

const (
	simple look = iota
	// lines have colors; used at a terminal, unless NO_COLOR is set (no-color.org)
	colored
	// lines begin with a priority instead of the time, because systemd's journal reads a priority and adds the time
	// (sd-daemon(3))
	journal
)

func lookOf(w io.Writer) look {
	if f, ok := w.(*os.File); ok {
		if st, err := f.Stat(); err == nil {
			return lookAs(st.Sys().(*syscall.Stat_t))
		}
	}
	return simple
}

func lookAs(st *syscall.Stat_t) look {
	if os.Getenv("JOURNAL_STREAM") == fmt.Sprintf("%d:%d", st.Dev, st.Ino) {
		return journal
	}
	if st.Mode&syscall.S_IFMT == syscall.S_IFCHR && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" {
		return colored
	}
	return simple
}

// LookAs formats lines for the file with descriptor fd instead of descriptor 2. While the application loads, descriptor
// 2 is a pipe to the supervisor, and fd is the actual standard error.
func (l *Logger) LookAs(fd int) {
	var st syscall.Stat_t
	if syscall.Fstat(fd, &st) == nil {
		l.look = lookAs(&st)
	}
}

func (l *Logger) Colors() bool { return lookOf(l.People()) == colored }

// paints maps levels to colors (ECMA-48 §8.3.117, SGR), and priorities maps levels to syslog priorities.
var (
	paints     = [...]int{logfile.Debug: 2, logfile.Info: 36, logfile.Warning: 33, logfile.Error: 31}
	priorities = [...]int{logfile.Debug: 7, logfile.Info: 6, logfile.Warning: 4, logfile.Error: 3}
)

// dress formats a line for the look k. The line must begin with a time in the format of the constant stamp. In a line
// of the error log, the level follows the time.
func (k look) dress(line []byte, level logfile.Level) []byte {
	at, rest := line[:len(stamp)], line[len(stamp):]
	switch k {
	case colored:
		out := fmt.Appendf(nil, "\x1b[2m%s\x1b[0m", at)
		name := []byte(level.String())
		if after, found := bytes.CutPrefix(rest, name); found {
			out, rest = fmt.Appendf(out, "\x1b[%dm%s\x1b[0m", paints[level], name), after
		}
		return append(out, rest...)
	case journal:
		return fmt.Appendf(nil, "<%d>%s", priorities[level], rest)
	}
	return line
}
