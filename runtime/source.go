package runtime

// A source answers exchanges: a mount names the one that its requests start with (Mount.source). Another can take an exchange
// over until the head of the response is sent: the cache for a page that it has, files for a handler that names one, a
// refusal for a handler that fails.
//
// Sources have no state of their own for an exchange; it is in the Exchange, so that an answer from memory allocates nothing.
// All methods are called on the loop, and none blocks.
type source interface {
	// start has x answered, whose request is x.req and whose source it is. rest is what the client has sent behind the head;
	// used is how much of that belongs to x. It may suspend x: then it is called again.
	start(l *loop, x *Exchange, rest []byte) (used int)

	// send sends what there is of the response of x, whose turn it is, and reports whether there may be more to send
	// on its connection now.
	send(l *loop, x *Exchange) (more bool)

	// left ends x, whose client has left, or sees to it that it ends.
	left(l *loop, x *Exchange)
}

var (
	_ source = (*appSource)(nil)
	_ source = (*cacheSource)(nil)
	_ source = (*fileSource)(nil)
	_ source = (*refusalSource)(nil)
	_ source = (*memorySource)(nil)
)

// The sources of exchanges that another source has handed over; that of cached pages is loop.pages.
var (
	refusals    refusalSource
	handedFiles fileSource
)

// sourceOf returns the source of a mount without a Rewrite.
func sourceOf(m *Mount) source {
	switch {
	case m.Static != nil:
		return &fileSource{m}
	case m.Answer != nil:
		return &memorySource{of: m.Answer}
	default:
		return &appSource{m}
	}
}
