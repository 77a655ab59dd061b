package static

import (
	"strconv"

	"fapws/runtime/exchange"
)

// fail answers with a status and a short text.
func (f *Files) fail(out *Response, status int) {
	body := errorText(status)
	out.Head = exchange.Head{Status: status, Length: int64(len(body)), Fields: []byte("Content-Type: text/plain; charset=utf-8\r\n")}
	out.Segments = append(out.Segments[:0], Segment{Data: []byte(body)})
}

func errorText(status int) string { return strconv.Itoa(status) + "\n" }
