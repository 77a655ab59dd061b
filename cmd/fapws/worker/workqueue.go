package worker

import (
	"sync"
	"time"
)

// workQueue calls carry with all items that wait, in their order, on a goroutine that runs
// while there are any. add does not block. A workQueue is safe for concurrent use.
type workQueue[T any] struct {
	carry func([]T)

	mu      sync.Mutex
	waiting []T
	running bool
	held    bool // carry is not called for now
}

func newWorkQueue[T any](carry func([]T)) *workQueue[T] { return &workQueue[T]{carry: carry} }

func (l *workQueue[T]) add(things ...T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = append(l.waiting, things...)
	l.start()
}

// start starts the goroutine if it is needed. The caller holds the mutex.
func (l *workQueue[T]) start() {
	if !l.running && !l.held && len(l.waiting) > 0 {
		l.running = true
		go l.run()
	}
}

func (l *workQueue[T]) run() {
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

// hold keeps everything in the queue, or lets it go on.
func (l *workQueue[T]) hold(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = on
	l.start()
}

// rest returns when the queue is empty, or after limit.
func (l *workQueue[T]) rest(limit time.Duration) {
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(backlogPause) {
		l.mu.Lock()
		running := l.running
		l.mu.Unlock()
		if !running {
			return
		}
	}
}
