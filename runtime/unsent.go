package runtime

import "fapws/runtime/loglevel"

// warnEvery is the least time between two lines about clients that do not read, in nanoseconds.
const warnEvery = int64(60e9)

// exceeded is called when more than Config.MaxUnsent bytes wait for a client.
func (l *loop) exceeded(client string, bytes int64) {
	l.http.Recall(client)
	l.warnUnsent(client, bytes)
}

// warnUnsent tells the operator, at most once a minute, that requests wait.
func (l *loop) warnUnsent(client string, n int64) {
	if l.warned != 0 && l.now()-l.warned < warnEvery {
		return
	}
	l.warned = max(l.now(), 1)
	hint := ""
	if len(l.cfg.Proxies) == 0 {
		hint = "; if it is a proxy, add it to forwarded-allow-ips"
	}
	l.s.logf(loglevel.Warning, "%s reads too slowly: %d MiB of responses are queued for it, so its further requests wait%s", client, n>>20, hint)
}
