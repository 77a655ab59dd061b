package runtime

import (
	"testing"
	"time"

	"fapws/runtime/logfile"
)

// openLog opens an access log, which close writes to its end.
func openLog(t *testing.T, path, format string) (log *logfile.AccessLog, close func()) {
	t.Helper()
	f, err := logfile.ParseFormat(format)
	if err != nil {
		t.Fatal(err)
	}
	file, err := logfile.Open(logfile.Options{Path: path, Flush: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	close = func() {
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(func() { file.Close() })
	return logfile.NewAccessLog(file, f), close
}
