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
	// with colors: at a terminal, unless NO_COLOR is set (no-color.org)
	colored
	// for systemd's journal, which adds the time and reads a priority (sd-daemon(3))
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

// LookAs formats lines for the standard error fd instead of descriptor 2, which is a pipe to the supervisor while the
// application loads.
func (l *Logger) LookAs(fd int) {
	var st syscall.Stat_t
	if syscall.Fstat(fd, &st) == nil {
		l.look = lookAs(&st)
	}
}

func (l *Logger) Colors() bool { return lookOf(l.People()) == colored }

// paints are colors (ECMA-48 §8.3.117, SGR), and priorities are those of syslog, by level.
var (
	paints     = [...]int{logfile.Debug: 2, logfile.Info: 36, logfile.Warning: 33, logfile.Error: 31}
	priorities = [...]int{logfile.Debug: 7, logfile.Info: 6, logfile.Warning: 4, logfile.Error: 3}
)

// dress formats a line that begins with a stamp for the look k. In lines of the log, the level follows the stamp.
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
