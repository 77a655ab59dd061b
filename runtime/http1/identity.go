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

// An Identity names a request in logs, in traces and to the handlers of the request. The zero value names nothing.
type Identity struct {
	Trace  TraceID
	Span   SpanID // this server's part of the trace
	Parent SpanID // the client's part; the zero value if the client sent no valid traceparent
	Flags  byte   // trace-flags (§3.2.2.5)
}

// TraceID is a trace-id (§3.2.2.3), and SpanID a parent-id (§3.2.2.4). The zero values mean none.
type (
	TraceID [16]byte
	SpanID  [8]byte
)

func (id TraceID) String() string {
	if id == (TraceID{}) {
		return ""
	}
	return hex.EncodeToString(id[:])
}

// Name returns the name of a client for error logs: "192.0.2.7:4711 trace 4bf9...", or only client for the zero
// value.
func (id *Identity) Name(client string) string {
	if id.Trace != (TraceID{}) {
		client += mark + id.Trace.String()
	}
	return client
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
	spanAt   = idAt + 2*len(TraceID{}) + 1
	flagsAt  = spanAt + 2*len(SpanID{}) + 1
	valueLen = flagsAt + 2

	// OwnFields is the largest number of fields that Rewrite appends to a head, and OwnLines limits their bytes.
	OwnFields = 1
	OwnLines  = len(parent) + len(": ") + valueLen + len("\r\n")
)

// sampled is the only flag that is passed on (§3.2.2.5). New traces have the flag, because logs record every request,
// and libraries of applications may record nothing without the flag.
const sampled = 1

// ParseTraceparent parses the value of a traceparent field. The result has no Span. ok is false if the value is invalid
// (§3.2.2).
func ParseTraceparent(value []byte) (id Identity, ok bool) {
	if len(value) < valueLen {
		return id, false
	}
	for i, c := range value[:valueLen] {
		dash := i == idAt-1 || i == spanAt-1 || i == flagsAt-1
		if dash && c != '-' || !dash && !('0' <= c && c <= '9' || 'a' <= c && c <= 'f') {
			return id, false
		}
	}
	version := string(value[:idAt-1])
	if version == "ff" || len(value) > valueLen && (version == "00" || value[valueLen] != '-') {
		return id, false
	}
	_, _ = hex.Decode(id.Trace[:], value[idAt:spanAt-1])
	_, _ = hex.Decode(id.Parent[:], value[spanAt:flagsAt-1])
	id.Flags = unhex(value[valueLen-1]) & sampled
	if id.Trace == (TraceID{}) || id.Parent == (SpanID{}) {
		return Identity{}, false
	}
	return id, true
}

// OwnIdentity returns the identity that Rewrite has written into the last n fields of head, without the Parent.
func OwnIdentity(head []byte, r *Request, n int) (id Identity) {
	for _, f := range r.Fields[len(r.Fields)-n:] {
		id, _ = ParseTraceparent(f.Value.In(head))
		id.Span, id.Parent = id.Parent, SpanID{}
	}
	return id
}

// An Identifier gives requests their identity. It is not safe for concurrent use.
type Identifier struct{ random *rand.PCG } // ids must differ, but need not be secret (§3.2.2.3)

func NewIdentifier() *Identifier { return &Identifier{rand.NewPCG(rand.Uint64(), rand.Uint64())} }

// Rewrite appends head to dst, with the fields of its identity as the last ones, and stores the identity in id. If the
// client's traceparent is valid, Rewrite continues the trace with a new parent-id, the span of this server; otherwise
// it starts a new trace. A tracestate is kept if both fields are valid (§3.3.1.4, §4.3). r is updated for the new head,
// which is at most OwnLines bytes longer. dst must not share memory with head.
func (n *Identifier) Rewrite(dst, head []byte, r *Request, id *Identity) []byte {
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
	continues := false
	if parents == 1 {
		*id, continues = ParseTraceparent(given)
	}
	at := len(dst)
	if parents+states == 0 {
		dst = append(dst, head[:r.HeadLen-2]...)
	} else {
		stateless := !continues || !validState(head, r.Fields)
		dst = r.AppendWithout(dst, head, func(f Field) bool {
			return f.isNamed(head, parent) || stateless && f.isNamed(head, state)
		})
	}
	if !continues {
		id.Trace, id.Flags = n.trace(), sampled
	}
	binary.BigEndian.PutUint64(id.Span[:], n.number())
	name := uint32(len(dst) - at)
	dst = append(dst, parent+": 00-"...)
	dst = append(hex.AppendEncode(dst, id.Trace[:]), '-')
	dst = append(hex.AppendEncode(dst, id.Span[:]), '-', '0', '0'+id.Flags, '\r', '\n', '\r', '\n')
	r.Fields = append(r.Fields, Field{Name: Span{Off: name, Len: uint32(len(parent))},
		Value: Span{Off: name + uint32(len(parent+": ")), Len: uint32(valueLen)}})
	r.HeadLen = len(dst) - at
	return dst
}

func (n *Identifier) trace() (id TraceID) {
	binary.BigEndian.PutUint64(id[:], n.number())
	binary.BigEndian.PutUint64(id[8:], n.random.Uint64())
	return id
}

func (n *Identifier) number() uint64 {
	for {
		if n := n.random.Uint64(); n != 0 {
			return n
		}
	}
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
