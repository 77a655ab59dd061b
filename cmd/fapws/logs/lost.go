package logs

// Lost returns the number of lines that the log files have not taken, without those of the error log of the settings (Logger.Lost). It is safe
// for concurrent use.
func (l *Files) Lost() (n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.files {
		n += f.Dropped()
	}
	return n
}
