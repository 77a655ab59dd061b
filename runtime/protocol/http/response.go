package http

import "fapws/runtime/http1"

// Response counts the sent bytes of a response, and knows how the rest is framed. Its zero value is one that has not begun.
type Response struct {
	Status int   // 0 before it has begun
	Sent   int64 // bytes of the body
	Framed int64 // bytes that are not of the body
	left   int64 // bytes still promised when Sized

	Framing http1.Framing // of the body
	Begun   bool          // the head was sent
	cut     bool          // it was longer than promised
}

// Begin notes that a head of n bytes, which http1.Template has made of h, is sent.
func (r *Response) Begin(h *http1.Response, n int) {
	r.Begun, r.Status, r.Framing, r.left = true, h.Status, h.Body, h.Length
	r.Framed += int64(n)
}

// Take returns how much may be sent of a piece that is bytes in memory and then count bytes of a file: nothing where a response
// has no body, and no more than its Content-Length has promised. cut reports that this is less than the piece, the first time.
func (r *Response) Take(data []byte, count int64) (body []byte, file int64, cut bool) {
	switch r.Framing {
	case http1.NoBody:
		return nil, 0, false
	case http1.Sized:
		if int64(len(data))+count > r.left {
			cut, r.cut = !r.cut, true
			data = data[:min(int64(len(data)), r.left)]
			count = r.left - int64(len(data))
		}
		r.left -= int64(len(data)) + count
	}
	r.Sent += int64(len(data)) + count
	return data, count, cut
}

// Short returns how many bytes of the promised Content-Length have not been sent.
func (r *Response) Short() int64 {
	if r.Framing != http1.Sized {
		return 0
	}
	return r.left
}

// NeedsReset reports whether a client cannot tell the end of a response that has broken off from the end of its body, unless the
// connection is reset.
func (r *Response) NeedsReset() bool { return r.Framing == http1.UntilClose }
