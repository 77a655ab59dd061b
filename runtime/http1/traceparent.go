package http1

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"regexp"
	"strings"
	"sync"
)

// TraceID is a trace-id (§3.2.2.3): 32 lower-case hexadecimal digits. The zero value means no trace.
type TraceID [32]byte

func (id TraceID) String() string {
	if id == (TraceID{}) {
		return ""
	}
	return string(id[:])
}

// Name returns the name of a client for error logs: "192.0.2.7:4711 trace 4bf9...", or only client for the zero
// value.
func (id TraceID) Name(client string) string {
	if id == (TraceID{}) {
		return client
	}
	return client + mark + string(id[:])
}

// UnnameTrace is the inverse of Name: it returns the client and the digits of the trace, which may be "".
func UnnameTrace(name string) (client, trace string) {
	client, trace, _ = strings.Cut(name, mark)
	return client, trace
}

const mark = " trace "

const (
	parent = "traceparent"
	state  = "tracestate"

	// A traceparent is "00-" trace-id "-" parent-id "-" flags. The parent-id is the span of the sender.
	idAt     = len("00-")
	spanAt   = idAt + len(TraceID{}) + 1
	flagsAt  = spanAt + 16 + 1
	valueLen = flagsAt + 2

	// newLine is the line that Rewrite appends to a head, with the final empty line. TraceLineLen is its length.
	newLine      = parent + ": 00-00000000000000000000000000000000-0000000000000000-01\r\n\r\n"
	valueIn      = len(parent) + len(": ")
	TraceLineLen = len(newLine)
)

// sampled is the only flag that is passed on (§3.2.2.5). New traces have the flag, because logs record every request,
// and libraries of applications may record nothing without the flag.
const sampled = 1

// ParseTraceparent parses the value of a traceparent field. ok is false if the value is invalid (§3.2.2).
func ParseTraceparent(value []byte) (id TraceID, flags byte, ok bool) {
	if len(value) < valueLen {
		return id, 0, false
	}
	for i, c := range value[:valueLen] {
		dash := i == idAt-1 || i == spanAt-1 || i == flagsAt-1
		if dash && c != '-' || !dash && !('0' <= c && c <= '9' || 'a' <= c && c <= 'f') {
			return id, 0, false
		}
	}
	version, trace, span := string(value[:idAt-1]), value[idAt:spanAt-1], value[spanAt:flagsAt-1]
	if version == "ff" || len(value) > valueLen && (version == "00" || value[valueLen] != '-') {
		return id, 0, false
	}
	if len(bytes.Trim(trace, "0")) == 0 || len(bytes.Trim(span, "0")) == 0 {
		return id, 0, false
	}
	return TraceID(trace), unhex(value[valueLen-1]) & sampled, true
}

// FindTraceparent returns the trace of a request, or the zero value if it has no valid trace.
func FindTraceparent(head []byte, r *Request) TraceID {
	n := 0
	var id TraceID
	for value := range Values(head, r.Fields, parent) {
		id, _, _ = ParseTraceparent(value)
		n++
	}
	if n != 1 {
		return TraceID{}
	}
	return id
}

// A Tracer is not safe for concurrent use.
type Tracer struct{ random *rand.PCG } // ids must differ, but need not be secret (§3.2.2.3)

func NewTracer() *Tracer { return &Tracer{rand.NewPCG(rand.Uint64(), rand.Uint64())} }

// Rewrite appends head to dst, with a valid traceparent as the last field. If the client's traceparent is valid,
// Rewrite continues the trace with a new parent-id, the span of this server; otherwise it starts a new trace. A
// tracestate is kept if both fields are valid (§3.3.1.4, §4.3). r is updated for the new head, which is at most
// TraceLineLen bytes longer. dst must not share memory with head. The trace is stored in id.
func (t *Tracer) Rewrite(dst, head []byte, r *Request, id *TraceID) []byte {
	var given []byte
	parents, states := 0, 0
	for _, f := range r.Fields {
		switch {
		case f.isNamed(head, parent):
			given = f.Value.In(head)
			parents++
		case f.isNamed(head, state):
			states++
		}
	}
	flags, ok := byte(sampled), false
	if parents == 1 {
		*id, flags, ok = ParseTraceparent(given)
	}
	at := len(dst)
	if parents+states == 0 {
		dst = append(dst, head[:r.HeadLen-2]...)
	} else {
		stateless := !ok || !validState(head, r.Fields)
		dst = r.AppendWithout(dst, head, func(f Field) bool {
			return f.isNamed(head, parent) || stateless && f.isNamed(head, state)
		})
	}
	name := Span{Off: uint32(len(dst) - at), Len: uint32(len(parent))}
	dst = append(dst, newLine...)
	made := dst[len(dst)-TraceLineLen+valueIn:]
	if ok {
		copy(made[idAt:], id[:])
		made[valueLen-1] = '0' + flags
	} else {
		half, rest := t.number(), t.random.Uint64()
		// Write the id twice, because copying bytes that were just written would stall the processor.
		putHex(made[idAt:], half)
		putHex(made[idAt+len(id)/2:], rest)
		putHex(id[:], half)
		putHex(id[len(id)/2:], rest)
	}
	putHex(made[spanAt:], t.number())
	r.Fields = append(r.Fields, Field{Name: name, Value: Span{Off: name.Off + uint32(valueIn), Len: uint32(valueLen)}})
	r.HeadLen = len(dst) - at
	return dst
}

func (t *Tracer) number() uint64 {
	for {
		if n := t.random.Uint64(); n != 0 {
			return n
		}
	}
}

func putHex(dst []byte, n uint64) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], n)
	hex.Encode(dst, b[:])
}

const mostMembers = 32

// stateMember matches a member of a tracestate (§3.3.1.3): a key of up to 256 bytes, which may contain "@" after the
// name of a tenant, and a value of up to 256 bytes. It is compiled when the first tracestate arrives.
var stateMember = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[a-z0-9][a-z0-9_*/-]*(@[a-z0-9_*/-]+)?=[ -+\--<>-~]{1,256}$`)
})

// validState reports whether all tracestate fields together are valid (§3.3.1). No fields at all are valid.
func validState(head []byte, fields []Field) bool {
	n := 0
	for list := range Values(head, fields, state) {
		for member := range members(list) {
			if len(member) == 0 {
				continue
			}
			if n++; n > mostMembers || !stateMember().Match(member) || bytes.IndexByte(member, '=') > 256 {
				return false
			}
		}
	}
	return true
}
