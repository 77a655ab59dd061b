package static

// Hit answers a request from memory: no system call, no allocation. It
// returns false, with out unchanged, when that cannot be done; Open can.
// now is in nanoseconds since 1970; a clock that is up to a second late is
// good enough. Call it on one goroutine only.
func (f *Files) Hit(now int64, req *Request, out *Response) bool {
	return false
}

// Open answers a request, whatever it takes: it may wait for the disk and may
// leave a file open in out (Close it). Any goroutine may call it, any number
// at the same time.
func (f *Files) Open(req *Request, out *Response) {
	f.fail(out, 404)
}
