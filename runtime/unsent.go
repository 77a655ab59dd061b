package runtime

import (
	"fmt"

	"fapws/runtime/loglevel"
)

// warnEvery is the least time between two lines about clients that do not read, in nanoseconds.
const warnEvery = int64(1e9)

// boundUnsent ends responses if more than Config.MaxUnsent waits for clients.
func (l *loop) boundUnsent() {
	client, unsent, ended := l.conns.Unsent.Bound(l.now())
	if ended == 0 {
		return
	}
	if l.cut += ended; l.warned != 0 && l.now()-l.warned < warnEvery {
		return
	}
	others := ""
	if l.cut > 1 {
		others = fmt.Sprintf(", and %d more since the last such line", l.cut-1)
	}
	l.warned, l.cut = max(l.now(), 1), 0
	l.s.logClient(loglevel.Warning, client, fmt.Sprintf("response ended with %.1f MiB unread%s: more than %d MiB wait for slow clients; see --max-unsent",
		float64(unsent)/(1<<20), others, l.cfg.MaxUnsent>>20))
}
