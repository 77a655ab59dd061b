package main

import (
	"sync"
	"time"
)

// lane carries things out, all that wait at once and one after the other, on a
// goroutine that is there while something does. Who adds to it does not wait.
type lane[T any] struct {
	carry func([]T)

	mu      sync.Mutex
	waiting []T
	running bool
	held    bool // nothing is carried out for now
}

func newLane[T any](carry func([]T)) *lane[T] { return &lane[T]{carry: carry} }

func (l *lane[T]) add(things ...T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = append(l.waiting, things...)
	l.start()
}

// start needs the mutex.
func (l *lane[T]) start() {
	if !l.running && !l.held && len(l.waiting) > 0 {
		l.running = true
		go l.run()
	}
}

func (l *lane[T]) run() {
	for {
		l.mu.Lock()
		some := l.waiting
		l.waiting = nil
		if len(some) == 0 {
			l.running = false
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
		l.carry(some)
	}
}

// hold keeps everything in the lane, or lets it go on.
func (l *lane[T]) hold(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = on
	l.start()
}

// rest returns when nothing is in the lane, or after limit.
func (l *lane[T]) rest(limit time.Duration) {
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(backlogPause) {
		l.mu.Lock()
		running := l.running
		l.mu.Unlock()
		if !running {
			return
		}
	}
}
