//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package eventloop

import (
	"github.com/panjf2000/gnet/v2/pkg/netpoll"
	"golang.org/x/sys/unix"
)

// pollersOwn is a descriptor whose events the poller keeps for itself: gnet's kqueue takes the event of
// descriptor 0 for its own wake-up.
const pollersOwn = 0

// readiness translates what kqueue reports, which is not whether there is urgent data.
func readiness(e netpoll.IOEvent, flags netpoll.IOFlags) (r Readiness) {
	if netpoll.IsReadEvent(e) {
		r |= Readable | Urgent
	}
	if netpoll.IsWriteEvent(e) {
		r |= Writable
	}
	if flags&unix.EV_EOF != 0 {
		r |= MaybeGone
	}
	return r
}
