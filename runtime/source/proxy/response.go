package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"fapws/runtime/backend"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

// readHead reads the head of a response, with all values of Connection: net/http removes the field if "close" is one of
// them, though it names the fields that must not be passed on (RFC 9110 §7.6.1). The error is bufio.ErrBufferFull if
// the head is larger than the buffer of in.
func readHead(in *bufio.Reader, request *http.Request) (*http.Response, error) {
	options, err := connectionOptions(in)
	if err != nil {
		return nil, err
	}
	response, err := http.ReadResponse(in, request)
	if err == nil && options != nil {
		response.Header["Connection"] = options
	}
	return response, err
}

// connectionOptions waits for the whole head of a response and returns the values of its Connection fields. It reads
// nothing from in. If the first line is not of HTTP, it returns at once.
func connectionOptions(in *bufio.Reader) (options []string, err error) {
	for pos, found := 0, false; ; {
		head, _ := in.Peek(in.Buffered())
		line, _, complete := bytes.Cut(head[pos:], []byte{'\n'})
		if !complete {
			if _, err := in.Peek(len(head) + 1); err != nil {
				return nil, err
			}
			continue
		}
		line = bytes.TrimSuffix(line, []byte{'\r'})
		if len(line) == 0 || pos == 0 && !bytes.HasPrefix(line, []byte("HTTP/")) {
			return options, nil
		}
		folded := line[0] == ' ' || line[0] == '\t' // the line continues the field before it (RFC 9112 §5.2)
		name, value, _ := bytes.Cut(line, []byte{':'})
		switch {
		case folded && found:
			options[len(options)-1] += string(line)
		case !folded:
			if found = bytes.EqualFold(name, []byte("Connection")); found {
				options = append(options, string(value))
			}
		}
		pos += bytes.IndexByte(head[pos:], '\n') + 1
	}
}

// responseHead returns the head of a response without the fields that are about the connection to the
// upstream. ok is false if a field must not be passed on.
func responseHead(response *http.Response) (head exchange.Head, ok bool) {
	_, reason, _ := strings.Cut(response.Status, " ")
	head = exchange.Head{Status: response.StatusCode, Reason: []byte(reason), Length: response.ContentLength}
	if !clean(reason) || !trimNames(response) {
		return head, false
	}
	drop(response.Header)
	response.Header.Del("Content-Length")
	// The application here decides which clients join a channel. Another server may not.
	response.Header.Del("Fapws-Channel")
	if response.StatusCode >= 200 {
		response.Header["Via"] = append(response.Header["Via"], via(version(response)))
	}
	for name, values := range response.Header {
		for _, value := range values {
			if !clean(value) {
				return head, false
			}
			head.Fields = append(append(append(append(head.Fields, spelling(name)...), ": "...), value...), "\r\n"...)
		}
		head.HasDate = head.HasDate || name == "Date"
		head.HasServer = head.HasServer || name == "Server"
	}
	return head, true
}

// via is the entry for this server in a Via field of a message that it has received by that version of HTTP
// (RFC 9110 §7.6.3).
func via(v http1.Version) string { return strings.TrimPrefix(v.String(), "HTTP/") + " fapws" }

// version returns the version of a response, which is one of HTTP/1.
func version(response *http.Response) http1.Version {
	if response.ProtoMinor == 0 {
		return http1.HTTP10
	}
	return http1.HTTP11
}

// trimNames removes white space between names of fields and their colons (RFC 9112 §5.1), which
// package http leaves in. It reports whether all names are valid then, and none with white space has a part
// in framing, as it did not count for that.
func trimNames(response *http.Response) bool {
	for name, values := range response.Header {
		trimmed := textproto.CanonicalMIMEHeaderKey(strings.TrimRight(name, " "))
		if trimmed == name {
			if !token(name) {
				return false
			}
			continue
		}
		switch trimmed {
		case "Content-Length", "Transfer-Encoding", "Connection":
			return false
		}
		if !token(trimmed) {
			return false
		}
		delete(response.Header, name)
		response.Header[trimmed] = append(response.Header[trimmed], values...)
	}
	return true
}

// token reports whether s is a token (RFC 9110 §5.6.2).
func token(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

// spelling is how RFC 6455 has the names of its fields, which package http spells in
// another way. There are programs that compare.
func spelling(name string) string {
	if rest, ok := strings.CutPrefix(name, "Sec-Websocket-"); ok {
		return "Sec-WebSocket-" + rest
	}
	return name
}

func clean(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
			return false
		}
	}
	return true
}

// wantsTrailers reports whether the upstream is told that the client takes trailers: if the client has said so itself (RFC 9110 §10.1.4). An
// upstream may send them anyway.
func wantsTrailers(h http.Header, r *backend.Request) bool {
	return h["Te"] != nil && takesTrailers(r) && !r.Tunnel
}

// takesTrailers reports whether trailers of the response can be passed on.
func takesTrailers(r *backend.Request) bool { return r.Parsed.Trailers && !r.Parsed.Head }

// announced returns the field that names the trailers which the upstream has announced, as far as they can be passed on; "": none.
func announced(r *backend.Request, response *http.Response) string {
	var names []string
	for name := range response.Trailer {
		if takesTrailers(r) && http1.ValidTrailer(name) {
			names = append(names, name)
		}
	}
	if names == nil {
		return ""
	}
	slices.Sort(names)
	return "Trailer: " + strings.Join(names, ", ") + "\r\n"
}

// trailers returns the trailers of a response whose body has been read, without those that must not be passed on. Package http has kept their bytes
// below those of its buffer.
func trailers(response *http.Response) (fields exchange.Trailers, err error) {
	n := 0
	for name, values := range response.Trailer {
		for _, value := range values {
			if !http1.ValidTrailer(name) || !clean(value) {
				err = fmt.Errorf("dropped the trailer field %.80q", name)
				continue
			}
			n++
			fields = append(append(append(append(fields, spelling(name)...), ": "...), value...), "\r\n"...)
		}
	}
	if n > http1.MaxTrailers || len(fields) > http1.MaxTrailerBytes {
		return nil, fmt.Errorf("dropped %d trailer fields of %d bytes, more than %d or %d bytes", n, len(fields), http1.MaxTrailers, http1.MaxTrailerBytes)
	}
	return fields, err
}
