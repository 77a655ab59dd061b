package certificates

import (
	"slices"
	"sync"
	"time"

	"fapws/cmd/fapws/watch"
)

const (
	// rereadEvery is the time after which files are read in any case: they expire, and not every file system reports
	// changes.
	rereadEvery = time.Hour

	// pollEvery is the same for files that only a process with more rights may watch, and for certificates that depend on
	// the addresses of the machine.
	pollEvery = 20 * time.Second
)

// Follower has files read again when they have changed. Its methods are safe for concurrent use.
type Follower struct {
	reread func()
	every  time.Duration
	blind  bool // files cannot be watched
	log    func(line string)

	mu      sync.Mutex
	names   []string
	watcher *watch.Watcher
	timer   *time.Timer
	closed  bool
}

// Follow returns a Follower of no files yet. It calls reread, on a goroutine, when one may have changed. If it is blind,
// which means that this process may not watch the files, it does so every twenty seconds. log gets lines about what
// cannot be watched.
func Follow(reread func(), blind bool, log func(line string)) *Follower {
	f := &Follower{reread: reread, every: rereadEvery, blind: blind, log: log}
	if blind {
		f.every = pollEvery
	}
	f.timer = time.AfterFunc(f.every, f.tick)
	return f
}

func (f *Follower) tick() {
	f.mu.Lock()
	closed := f.closed
	if !closed {
		f.timer.Reset(f.every)
	}
	f.mu.Unlock()
	if !closed {
		f.reread()
	}
}

// Files follows other files from now on. With auto (Want.Auto), they also depend on the addresses of the machine.
func (f *Follower) Files(names []string, auto bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	if auto && f.every != pollEvery {
		f.every = pollEvery
		f.timer.Reset(f.every)
	}
	if f.blind || slices.Equal(names, f.names) {
		return
	}
	f.names = names
	f.stop()
	w, err := watch.Start(watch.Options{Files: names, Log: f.log})
	if err != nil {
		f.log(err.Error())
		return
	}
	f.watcher = w
	go func() {
		for range w.Changes {
			f.reread()
		}
	}()
}

// stop ends the watcher on another goroutine, because its end waits for its last report.
func (f *Follower) stop() {
	go f.watcher.Close() // a nil one does nothing
	f.watcher = nil
}

// Close ends the following.
func (f *Follower) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.timer.Stop()
	f.stop()
}
