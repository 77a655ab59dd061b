package backendtest

import (
	"strings"
	"sync"
	"testing"

	"fapws/runtime/checktest"
)

// A Log collects the lines that a server logs, and is safe for concurrent use.
type Log struct {
	mu    sync.Mutex
	lines []string
}

func (l *Log) Add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
}

// Note adds a line about a client.
func (l *Log) Note(client, line string) { l.Add(client + " " + line) }

func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}

// Says waits until the lines contain a text.
func (l *Log) Says(t testing.TB, text string) {
	t.Helper()
	checktest.Eventually(t, "the log has "+text, func() bool { return strings.Contains(l.String(), text) })
}
