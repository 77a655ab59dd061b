//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package eventloop

import (
	"fmt"

	"github.com/panjf2000/gnet/v2/pkg/netpoll"
)

type descriptors struct{}

func findDescriptors(int) descriptors { return descriptors{} }

// Intact returns an error, of one line, if the loop can report nothing any more because its kqueue was closed. It
// is safe for concurrent use, between New and Close.
func (l *Loop) Intact() error {
	// kqueue replaces a filter that it has.
	if err := l.poller.AddRead(&netpoll.PollAttachment{FD: l.wake.fd}, true); err != nil {
		return fmt.Errorf("the application has closed a descriptor that belongs to the event loop: %w", err)
	}
	return nil
}

// Descriptors returns the descriptors of the loop, as far as they are known, that nothing else may close. It is
// safe for concurrent use.
func (l *Loop) Descriptors() []int { return []int{l.wake.fd, l.wake.waker.Event} }
