package sites

import (
	"bufio"
	"bytes"
	"net/http"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/loglevel"

	"golang.org/x/sys/unix"
)

// maxAnswer bounds the head that an application writes.
const maxAnswer = 16 << 10

// readAnswer reads the head of the response that the application has written to its socket, and nothing behind it. It returns nil if it has
// not arrived yet, or does not accept a WebSocket: then the client was answered.
func (r *relay) readAnswer() *http1.Response {
	head := make([]byte, maxAnswer)
	n, _, err := unix.Recvfrom(r.fd, head, unix.MSG_PEEK|unix.MSG_DONTWAIT)
	size := bytes.Index(head[:max(n, 0)], []byte("\r\n\r\n")) + 4
	switch {
	case size >= 4:
	case err == unix.EAGAIN || n > 0 && n < maxAnswer:
		return nil
	default:
		r.malformed("it has no head of at most 16 KiB")
		return nil
	}
	unix.Recvfrom(r.fd, head[:size], unix.MSG_DONTWAIT) // which were there
	answer, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(head[:size])), nil)
	switch {
	case err != nil:
		r.malformed(err.Error())
		return nil
	case answer.StatusCode >= 400:
		r.refuse(exchange.Reply{Status: answer.StatusCode})
		return nil
	case answer.StatusCode != http.StatusSwitchingProtocols:
		r.malformed("its status is " + answer.Status)
		return nil
	}
	var fields bytes.Buffer
	answer.Header.Write(&fields) // into memory
	return &http1.Response{
		Status: 101, Version: http1.HTTP11, KeepAlive: true, Length: -1, Fields: fields.Bytes(),
		HasDate: answer.Header["Date"] != nil, HasServer: answer.Header["Server"] != nil,
	}
}

// malformed refuses a WebSocket whose application has written something else than the head that accepts it.
func (r *relay) malformed(why string) {
	r.x.s.logClient(r.x, loglevel.Error, "the application's response to a request for a WebSocket is malformed: %s", why)
	r.refuse(exchange.Reply{Status: 502})
}
