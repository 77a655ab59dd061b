package programs

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The protocol is that of the FastCGI Specification, version 1.0 (1996). A
// connection has one request at a time, with this ID.
const requestID = 1

// Types of records (§8).
const (
	typeBegin  = 1
	typeEnd    = 3
	typeParams = 4
	typeStdin  = 5
	typeStdout = 6
	typeStderr = 7
)

const (
	headerLen  = 8
	maxContent = 65535
	maxRecord  = headerLen + maxContent + 255
)

// record is one record that was received.
type record struct {
	kind    uint8
	content []byte // within the data that was parsed
}

// errNeedMore says that the record is not there whole; maxRecord bytes are always
// enough.
var errNeedMore = errors.New("incomplete record")

// parseRecord reads the record at the front of data and returns its length.
func parseRecord(data []byte) (r record, n int, err error) {
	if len(data) < headerLen {
		return r, 0, errNeedMore
	}
	if data[0] != 1 {
		return r, 0, fmt.Errorf("it does not speak FastCGI 1.0: %q", data[:headerLen])
	}
	size := int(binary.BigEndian.Uint16(data[4:]))
	n = headerLen + size + int(data[6])
	r.kind = data[1]
	if id := binary.BigEndian.Uint16(data[2:]); id != requestID {
		return r, 0, fmt.Errorf("response to the unknown request %d", id)
	}
	if r.kind != typeStdout && r.kind != typeStderr && r.kind != typeEnd {
		return r, 0, fmt.Errorf("it sends a record of type %d", r.kind)
	}
	if len(data) < n {
		return r, 0, errNeedMore
	}
	r.content = data[headerLen : headerLen+size]
	return r, n, nil
}

// appendRecord appends a record with content, of at most maxContent bytes.
func appendRecord(dst []byte, kind uint8, content []byte) []byte {
	dst = append(dst, 1, kind, 0, requestID)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(content)))
	dst = append(dst, 0, 0)
	return append(dst, content...)
}

// appendBegin appends the record that begins a request for a responder, after
// which the connection stays open.
func appendBegin(dst []byte) []byte {
	const responder, keep = 1, 1
	return appendRecord(dst, typeBegin, []byte{0, responder, keep, 0, 0, 0, 0, 0})
}

// appendStream appends content as records of a stream, without its end.
func appendStream(dst []byte, kind uint8, content []byte) []byte {
	for len(content) > 0 {
		k := min(len(content), maxContent)
		dst = appendRecord(dst, kind, content[:k])
		content = content[k:]
	}
	return dst
}

// appendParam appends a name-value pair (§3.4).
func appendParam(dst []byte, name, value string) []byte {
	dst = appendLength(appendLength(dst, len(name)), len(value))
	return append(append(dst, name...), value...)
}

func appendLength(dst []byte, n int) []byte {
	if n < 128 {
		return append(dst, byte(n))
	}
	return binary.BigEndian.AppendUint32(dst, uint32(n)|1<<31)
}

// ended is the content of a record of typeEnd.
type ended struct {
	status int   // exit code of the program
	why    uint8 // protocolStatus
}

// Values of protocolStatus (§5.5).
const (
	completed  = 0
	overloaded = 2
)

func parseEnd(content []byte) (e ended, err error) {
	if len(content) < headerLen {
		return e, errors.New("its last record is too short")
	}
	return ended{status: int(int32(binary.BigEndian.Uint32(content))), why: content[4]}, nil
}
