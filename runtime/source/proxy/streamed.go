package proxy

import (
	"bufio"

	"fapws/runtime/backend"
)

// A streamedBody is a request body that is sent to the upstream while it arrives from the client (Options.Streams).
type streamedBody struct {
	r    *backend.Request
	out  *bufio.Writer // output buffer of the connection to the upstream
	rest []byte
}

// Read returns bytes of the body. Before it waits for more bytes, it sends all earlier bytes to the upstream.
func (b *streamedBody) Read(p []byte) (int, error) {
	for len(b.rest) == 0 {
		err := b.out.Flush()
		if err == nil {
			b.rest, err = b.r.Next()
		}
		if err != nil {
			return 0, err
		}
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

func (b *streamedBody) Close() error { return nil }

// A plainWriter hides the method ReadFrom of bufio.Writer, because ReadFrom would call streamedBody.Read, which calls
// Flush, and Flush is not permitted during ReadFrom.
type plainWriter struct{ out *bufio.Writer }

func (w plainWriter) Write(b []byte) (int, error) { return w.out.Write(b) }

func (w plainWriter) WriteByte(c byte) error { return w.out.WriteByte(c) }
