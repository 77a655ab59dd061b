package proxy

import (
	"bufio"

	"fapws/runtime/backend"
)

// A streamedBody is the body of a request that arrives while it is sent to the upstream (Options.Streams).
type streamedBody struct {
	r    *backend.Request
	out  *bufio.Writer // the output of the connection
	rest []byte
}

// Read sends what has arrived before it waits for more.
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

// A plainWriter hides bufio.Writer.ReadFrom, which does not permit Flush during Read.
type plainWriter struct{ out *bufio.Writer }

func (w plainWriter) Write(b []byte) (int, error) { return w.out.Write(b) }

func (w plainWriter) WriteByte(c byte) error { return w.out.WriteByte(c) }
