package main

import (
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"fapws/cmd/fapws/settings"
	"fapws/runtime"
)

// logger writes lines such as "2026-01-31 15:04:05.123 warning text". Any
// goroutine may call it.
type logger struct {
	mu    sync.Mutex
	w     io.Writer
	least atomic.Int32 // a runtime.Level
	now   func() time.Time
	line  []byte
}

func newLogger(w io.Writer, level string, debug int) *logger {
	l := &logger{w: w, now: time.Now}
	l.setLevel(level, debug)
	return l
}

// setLevel takes settings.Config's LogLevel and LoopDebug. What --debug asks for is
// shown whatever the level.
func (l *logger) setLevel(level string, debug int) {
	least := slices.Index(settings.LogLevels, level)
	if debug > 0 {
		least = int(runtime.LevelDebug)
	}
	l.least.Store(int32(least))
}

func (l *logger) shows(level runtime.Level) bool { return int32(level) >= l.least.Load() }

// log writes one line; control characters in it are replaced so that a client
// cannot forge another.
func (l *logger) log(level runtime.Level, text string) {
	if !l.shows(level) {
		return
	}
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, text)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.line = l.now().AppendFormat(l.line[:0], "2006-01-02 15:04:05.000 ")
	l.line = append(l.line, level.String()...)
	l.line = append(l.line, ' ')
	l.line = append(l.line, text...)
	l.line = append(l.line, '\n')
	l.w.Write(l.line) // nobody is left to tell when standard error is gone
}
