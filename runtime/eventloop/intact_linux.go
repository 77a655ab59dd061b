package eventloop

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// descriptors are those of a loop: of the epoll instance, and of the eventfds that it watches for the loop and
// for gnet. The first is 0 if they are not known (/proc is not mounted).
type descriptors struct {
	epoll  int
	events []int
	inode  uint64 // of all of them: anonymous files have the same one
}

// Intact returns an error, of one line, if the loop can report nothing any more because one of its descriptors was
// closed or is another file now: applications close what is not their own (os.closerange). It is safe for concurrent
// use, between New and Close.
func (l *Loop) Intact() error {
	own := &l.wake.own
	if own.epoll == 0 {
		return nil
	}
	for _, fd := range append([]int{own.epoll}, own.events...) {
		if inodeOf(fd) != own.inode || fd != own.epoll && !watches(own.epoll, fd) {
			return fmt.Errorf("the application has closed descriptor %d, which belongs to the event loop", fd)
		}
	}
	return nil
}

// Descriptors returns the descriptors of the loop that nothing else may close. It is safe for concurrent use.
func (l *Loop) Descriptors() []int {
	if l.wake.own.epoll == 0 {
		return []int{l.wake.fd}
	}
	return append([]int{l.wake.own.epoll}, l.wake.own.events...)
}

// findDescriptors finds the epoll instance that watches event. gnet does not say which one it is, but the kernel
// lists what each of them watches.
func findDescriptors(event int) (d descriptors) {
	infos, _ := filepath.Glob("/proc/self/fdinfo/*")
	for _, name := range infos {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // closed meanwhile
		}
		events := watched(string(text))
		for _, fd := range events {
			if fd == event {
				epoll, _ := strconv.Atoi(filepath.Base(name))
				return descriptors{epoll: epoll, events: events, inode: inodeOf(epoll)}
			}
		}
	}
	return d
}

// watched returns the descriptors that an epoll instance watches, given its fdinfo (proc(5)).
func watched(text string) (fds []int) {
	for line := range strings.Lines(text) {
		var fd int
		if n, _ := fmt.Sscanf(line, "tfd: %d", &fd); n == 1 {
			fds = append(fds, fd)
		}
	}
	return fds
}

// watches reports whether an epoll instance still watches a descriptor, and both are the files that they were: epoll
// refuses to take the same file under the same number once more.
func watches(epoll, fd int) bool {
	err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Fd: int32(fd)})
	if err == nil { // what was one of them is not any more
		_ = unix.EpollCtl(epoll, unix.EPOLL_CTL_DEL, fd, nil)
	}
	return err == unix.EEXIST
}

// inodeOf returns the number of an open file, 0 for none.
func inodeOf(fd int) uint64 {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return 0
	}
	return st.Ino
}
