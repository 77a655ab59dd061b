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

// An Identity identifies a request in logs, in traces and for its handlers. The zero value means that the request has
// no identity. In this file, a section (§) without an RFC is a section of W3C Trace Context.
type Identity struct {
	Request string // the request id, or ""
	Trace   TraceID
	Span    SpanID // id of the span of this server in the trace
	// id of the client's span; zero if the client sent no valid traceparent
	Parent SpanID
	Flags  byte // trace-flags (§3.2.2.5)
}

// Sampled reports whether the request belongs to a trace that is recorded.
func (id *Identity) Sampled() bool { return id.Flags&sampled != 0 && id.Trace != TraceID{} }

// TraceID is a trace-id (§3.2.2.3), and SpanID a parent-id (§3.2.2.4). The zero value means that there is no id.
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

const (
	requestID = "x-request-id"
	// mostRequestID limits the length of a request id from a trusted proxy, in bytes.
	mostRequestID = 128

	parent = "traceparent"
	state  = "tracestate"

	// A traceparent is "00-" trace-id "-" parent-id "-" flags. The parent-id is the span of the sender.
	idAt     = len("00-")
	spanAt   = idAt + 2*len(TraceID{}) + 1
	flagsAt  = spanAt + 2*len(SpanID{}) + 1
	valueLen = flagsAt + 2

	// OwnFields is the largest number of fields that Rewrite appends to a head, and OwnLines limits their bytes.
	OwnFields = 2
	OwnLines  = len(requestID) + mostRequestID + len(parent) + valueLen + 2*len(": \r\n")
)

// sampled is the only trace flag that is forwarded (§3.2.2.5). Without a Sampler, new traces have the flag, because
// tracing libraries in applications may record nothing without the flag.
const sampled = 1

// ParseTraceparent parses the value of a traceparent field. The Span of the result is zero. ok is false if the value is
// invalid (§3.2.2).
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

// OwnIdentity returns the identity that Rewrite wrote into the last n fields of head. The Parent of the result is zero.
func OwnIdentity(head []byte, r *Request, n int) (id Identity) {
	for _, f := range r.Fields[len(r.Fields)-n:] {
		if f.isNamed(head, requestID) {
			id.Request = string(f.Value.In(head))
			continue
		}
		traced, _ := ParseTraceparent(f.Value.In(head))
		id.Trace, id.Span, id.Flags = traced.Trace, traced.Parent, traced.Flags
	}
	return id
}

// ShortID returns the request id of a failed request that got none from an Identifier: the upper bits of number, in
// eight letters and digits that are easy to dictate. ShortID returns "" if number is 0. core_name_request in pybridge makes
// the same text.
func ShortID(number uint64) string {
	if number == 0 {
		return ""
	}
	const digits = "0123456789abcdefghjkmnpqrstvwxyz"
	var id [8]byte
	for i := range id {
		id[i] = digits[number>>(59-5*i)&31]
	}
	return string(id[:])
}

// isRequestID reports whether value is a valid request id from a trusted proxy.
func isRequestID(value []byte) bool {
	for _, c := range value {
		letter := '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && strings.IndexByte("._~:/+=-", c) < 0 {
			return false
		}
	}
	return 0 < len(value) && len(value) <= mostRequestID
}

// An Identifier gives requests their identity. An Identifier is not safe for concurrent use.
type Identifier struct {
	traces, requests bool
	// Sampler sets the flags of traces; nil means that the flags of the client are kept, and new traces are sampled.
	Sampler *Sampler
	// source of ids, which must be unique but need not be secret (§3.2.2.3)
	random *rand.PCG
}

// NewIdentifier returns nil if requests get neither a trace nor a request id.
func NewIdentifier(traces, requests bool) *Identifier {
	if !traces && !requests {
		return nil
	}
	return &Identifier{traces: traces, requests: requests, random: rand.NewPCG(rand.Uint64(), rand.Uint64())}
}

// A Sampler decides which traces are recorded.
type Sampler struct {
	ByParent bool   // a client's trace is recorded if the client has set its sampled flag
	Share    uint64 // share of all other traces that is recorded; WholeShare means all of them
}

// WholeShare is the Share of a Sampler that records all traces.
const WholeShare = 1 << 63

// flags returns the flags for the trace id. If continues is true, the client has begun the trace and sent the flags in
// the last argument. All servers with the same Share record the same traces.
func (s *Sampler) flags(id TraceID, continues bool, given byte) byte {
	switch {
	case continues && (s == nil || s.ByParent):
		return given
	case s == nil || binary.BigEndian.Uint64(id[8:])>>1 < s.Share:
		return sampled
	}
	return 0
}

// AppendTraceparent appends the value of a traceparent field for requests to other servers. The parent-id is id.Span.
func AppendTraceparent(dst []byte, id *Identity) []byte {
	dst = append(hex.AppendEncode(append(dst, "00-"...), id.Trace[:]), '-')
	return append(hex.AppendEncode(dst, id.Span[:]), '-', '0', '0'+id.Flags)
}

// Rewrite gives the request r an identity. Rewrite stores the identity in id, and appends head to dst, followed by the
// fields with the identity. If the client's traceparent is valid, Rewrite continues the trace with a new parent-id, the
// span of this server. Otherwise Rewrite starts a new trace. The client's tracestate is kept if traceparent and
// tracestate are valid (§3.3.1.4, §4.3). If a trusted client sent a single, valid x-request-id, Rewrite keeps this id.
// Otherwise the request id is the id of the new trace, or a random id. If sub is true, r is a subrequest, and belongs
// to the span of the request that has caused it. Rewrite updates r for the new head, which is at most OwnLines bytes
// longer than head. The result own is the number of added fields. dst must not share memory with head.
func (n *Identifier) Rewrite(dst, head []byte, r *Request, trusted, sub bool, id *Identity) (_ []byte, own int) {
	var given, request []byte
	parents, states, requests := 0, 0, 0
	for _, f := range r.Fields {
		switch {
		case n.traces && f.isNamed(head, parent):
			given = f.Value.In(head)
			parents++
		case n.traces && f.isNamed(head, state):
			states++
		case n.requests && f.isNamed(head, requestID):
			request = f.Value.In(head)
			requests++
		}
	}
	continues := false
	if parents == 1 {
		*id, continues = ParseTraceparent(given)
	}
	at := len(dst)
	if parents+states+requests == 0 {
		dst = append(dst, head[:r.HeadLen]...)
	} else {
		stateless := n.traces && (!continues || !validState(head, r.Fields))
		dst = r.AppendWithout(dst, head, func(f Field) bool {
			return n.traces && f.isNamed(head, parent) || stateless && f.isNamed(head, state) ||
				n.requests && f.isNamed(head, requestID)
		})
	}
	dst = dst[:len(dst)-len("\r\n")]
	fresh := n.trace()
	end := func(name string, value int) {
		f := Field{Span{Off: uint32(value - at - len(name) - len(": ")), Len: uint32(len(name))},
			Span{Off: uint32(value - at), Len: uint32(len(dst) - value)}}
		r.Fields = append(r.Fields, f)
		dst = append(dst, "\r\n"...)
		own++
	}
	if n.requests {
		if trusted && requests == 1 && isRequestID(request) {
			id.Request = string(request)
		} else {
			id.Request = fresh.String()
		}
		dst = append(dst, requestID+": "...)
		value := len(dst)
		dst = append(dst, id.Request...)
		end(requestID, value)
	}
	if n.traces {
		if !continues {
			id.Trace = fresh
		}
		id.Flags = n.Sampler.flags(id.Trace, continues, id.Flags)
		if binary.BigEndian.PutUint64(id.Span[:], n.number()); sub && continues {
			id.Span = id.Parent
		}
		dst = append(dst, parent+": "...)
		value := len(dst)
		dst = AppendTraceparent(dst, id)
		end(parent, value)
	}
	dst = append(dst, "\r\n"...)
	r.HeadLen = len(dst) - at
	return dst, own
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

// stateMember matches a member of a tracestate (§3.3.1.3): a key of up to 256 bytes, in which "@" can separate a tenant
// from the system, and a value of up to 256 bytes. stateMember is compiled when the first tracestate arrives.
var stateMember = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[a-z0-9][a-z0-9_*/-]*(@[a-z0-9_*/-]+)?=[ -+\--<>-~]{1,256}$`)
})

// validState reports whether all tracestate fields together are valid (§3.3.1). validState returns true without such
// fields.
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
