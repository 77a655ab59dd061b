package runtime

import "fapws/runtime/sites"

// takenMost is how many requests are worth taking before they are passed on: more
// of them push each other out of the processor's cache, and out of the queue.
const takenMost = 256

// siteHost is the loop as its sites need it. It implements sites.Host.
type siteHost struct{ l *loop }

func (h siteHost) Open(c *sites.Client) { h.l.open(c) }
func (h siteHost) Delivered()           { h.l.delivered() }

func (h siteHost) Arrived(c *sites.Client) {
	h.l.accepting.Arrived(c.Expected)
	c.Expected = 0
}

func (h siteHost) Gone(c *sites.Client) {
	if l := h.l; l.debug >= 1 {
		l.tracef("%s disconnected, %d open", c, l.live.Load()-1)
	}
	h.l.makeRoom(c.Counts)
}

// delivered passes requests on at once if they are many.
func (l *loop) delivered() {
	if l.app.Taken() >= takenMost {
		l.flushBatch()
	}
}

// SetOverridePage answers every request of a browser, that is one whose Accept names
// text/html, with page, an HTML document in UTF-8, and status; nothing is to
// keep it. Other requests go where they always do. A page of nil ends this.
// With local, only requests for http1.LocalHost get it.
//
// Any goroutine but the loop's may call it; requests that come after it has
// been carried out get the page, which is not waited for. The page must not
// be changed afterwards.
func (s *Server) SetOverridePage(status int, page []byte, local bool) {
	s.loop.post(func() { s.loop.sites.Override(status, page, local) })
}
