package pool

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// checkEvery is how often serving workers are asked whether they can answer requests.
// A broken one is killed after that time, or after silentChecks more.
const (
	checkEvery   = time.Second
	silentChecks = 3
)

// health is the supervisor's knowledge of a worker's ability to answer.
//
// No answer to a Check proves nothing: a debugger may have stopped the worker, or the machine be slow. Nor does a
// loop that is busy, since inline handlers may take their time. It counts if the worker finds its own descriptors
// broken (runtime.Server.Intact), or if all of its threads sleep over a message that it has not read.
type health struct {
	asked  bool // a Check is not answered yet
	silent int  // how many times in a row the worker was found asleep over it
}

func (p *Pool) checkWorkers() {
	for _, w := range p.workers {
		if w.state == Serving {
			w.check()
		}
	}
}

func (w *worker) check() {
	switch {
	case !w.health.asked:
		w.health.asked = true
		w.send(&Message{Kind: Check})
	case w.channel.unread() && asleep(w.pid):
		if w.health.silent++; w.health.silent == silentChecks {
			w.kill("does not read its control channel")
		}
	default:
		w.health.silent = 0
	}
}

// checked is called when the worker has answered; why is empty if all is well.
func (w *worker) checked(why string) {
	w.health = health{}
	if why != "" && w.state == Serving {
		w.kill(fmt.Sprintf("cannot answer requests (%s)", why))
	}
}

// unread reports whether the other side has not yet read all that was sent.
func (c *Channel) unread() bool {
	rc, err := c.conn.SyscallConn()
	if err != nil {
		return false
	}
	left := 0
	err = rc.Control(func(fd uintptr) { left, _ = unix.IoctlGetInt(int(fd), unix.TIOCOUTQ) })
	return err == nil && left > 0
}
