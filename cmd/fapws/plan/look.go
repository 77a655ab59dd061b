package plan

import (
	"fmt"
	"io"
	"os"
	"syscall"

	"fapws/runtime/logfile"
)

func lookOf(w io.Writer) logfile.Look {
	if f, ok := w.(*os.File); ok {
		if st, err := f.Stat(); err == nil {
			return lookAs(st.Sys().(*syscall.Stat_t))
		}
	}
	return logfile.Plain
}

func lookAs(st *syscall.Stat_t) logfile.Look {
	if os.Getenv("JOURNAL_STREAM") == fmt.Sprintf("%d:%d", st.Dev, st.Ino) {
		return logfile.Journal
	}
	if st.Mode&syscall.S_IFMT == syscall.S_IFCHR && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" {
		return logfile.Colored
	}
	return logfile.Plain
}

// LookAs formats lines for the file with descriptor fd instead of descriptor 2. While the application loads, descriptor
// 2 is a pipe to the supervisor, and fd is the actual standard error.
func (l *Logger) LookAs(fd int) {
	var st syscall.Stat_t
	if l.look != logfile.Object && syscall.Fstat(fd, &st) == nil {
		l.look = lookAs(&st)
	}
}

// Look must be called after the Logger was opened.
func (l *Logger) Look() logfile.Look { return l.look }

func (l *Logger) Colors() bool { return lookOf(l.People()) == logfile.Colored }
