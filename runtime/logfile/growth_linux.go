package logfile

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// growEvery is the shortest time between two looks at a log that grows.
const growEvery = 100 * time.Millisecond

// growth reports writes to a file (inotify(7)): a flood would fill a small disk between two looks by the clock. nil
// does nothing.
type growth struct {
	events  *os.File
	fd      int
	watched int
}

// newGrowth returns nil where the kernel has no more of these.
func newGrowth() *growth {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil
	}
	return &growth{events: os.NewFile(uintptr(fd), "inotify"), fd: fd, watched: -1}
}

// watch watches the file that is open as fd instead of the one before. One goroutine at a time.
func (g *growth) watch(fd int) {
	if g == nil {
		return
	}
	wd, err := unix.InotifyAddWatch(g.fd, fmt.Sprintf("/proc/self/fd/%d", fd), unix.IN_MODIFY)
	if err != nil {
		wd = -1
	}
	if g.watched >= 0 && g.watched != wd {
		_, _ = unix.InotifyRmWatch(g.fd, uint32(g.watched)) // it may have ended with its file
	}
	g.watched = wd
}

// tell leaves a token in grown when the file grows, until close.
func (g *growth) tell(grown chan<- struct{}) {
	if g == nil {
		return
	}
	events := make([]byte, 4<<10)
	for {
		if _, err := g.events.Read(events); err != nil {
			return
		}
		notify(grown)
		time.Sleep(growEvery) // all writes meanwhile are one event
	}
}

func (g *growth) close() {
	if g != nil {
		g.events.Close()
	}
}
