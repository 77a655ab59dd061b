package proxy

import (
	"bytes"
	"time"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

// mounts reports whether the target is an application behind a door, which serves requests as if it were mounted here.
func (o *Options) mounts() bool { return o.Door != nil }

// doorWait limits how long a request waits for room in the door, which holds some hundred connections.
const doorWait = 2 * time.Second

// knock implements Options.Dial for an application behind a door.
func (o *Options) knock(done func(fd int, err error)) { o.knockAgain(connectAgain, done) }

func (o *Options) knockAgain(pause time.Duration, done func(fd int, err error)) {
	fd, err := conn.Knock(o.Door)
	if err == conn.ErrDoorFull && pause < doorWait/2 {
		time.AfterFunc(pause, func() { o.knockAgain(2*pause, done) })
		return
	}
	done(fd, err)
}

// appendMounted appends the head of the request as the client has sent it, with the field that describes the client
// (exchange.PeerField). The result chunked is true if a body has chunks.
func (q *request) appendMounted(dst []byte) (head []byte, chunked bool) {
	parsed := q.parse()
	dst = append(append(dst, parsed.Method.In(q.Head)...), ' ')
	target := parsed.Target.In(q.Head)
	// A trusted proxy may have removed the prefix.
	if hidden := q.Path[:q.Root]; parsed.Authority.Len == 0 && !bytes.HasPrefix(parsed.Path.In(q.Head), hidden) {
		dst = append(dst, hidden...)
	}
	version := http1.HTTP11
	if parsed.Version == http1.HTTP10 { // a request of HTTP/1.0 may lack Host
		version = http1.HTTP10
	}
	dst = append(append(append(append(dst, target...), ' '), version.String()...), "\r\n"...)
	framed := false
	for _, f := range parsed.Fields {
		name := f.Name.In(q.Head)
		switch {
		case http1.EqualFold(name, "fapws-peer"):
			continue
		case http1.EqualFold(name, "content-length"):
			framed = true
		case http1.EqualFold(name, "transfer-encoding"):
			framed, chunked = true, true
		}
		dst = append(append(append(append(dst, name...), ": "...), f.Value.In(q.Head)...), "\r\n"...)
	}
	if !framed && (q.More || q.Size > 0) {
		dst, chunked = append(dst, "Transfer-Encoding: chunked\r\n"...), true
	}
	dst = append(append(dst, exchange.PeerField...), ": "...)
	dst = append(dst, q.p.introduction(q.Peer, parsed.Version, q.Path[:q.Script])...)
	return append(dst, "\r\n\r\n"...), chunked
}

// An introduced client is the key of an introduction.
type introduced struct {
	peer    *exchange.Peer
	version http1.Version
	root    string
}

// mostIntroduced limits the introductions that a Proxy keeps.
const mostIntroduced = 256

// introduction returns exchange.Introduce, which it keeps, because the requests of a connection have the same client.
func (p *Proxy) introduction(peer *exchange.Peer, version http1.Version, root []byte) []byte {
	text, known := p.introductions[introduced{peer, version, string(root)}]
	if !known {
		text = exchange.Introduce(peer, version, string(root))
		if p.introductions == nil || len(p.introductions) >= mostIntroduced {
			p.introductions = map[introduced][]byte{}
		}
		p.introductions[introduced{peer, version, string(root)}] = text
	}
	return text
}

// mountedBody returns the body of a request whose head has chunked framing, although the body has arrived as a whole.
func (q *request) mountedBody() (body []byte) {
	if len(q.Body) > 0 {
		body = append(append(http1.AppendChunkHeader(nil, int64(len(q.Body))), q.Body...), crlf...)
	}
	return append(body, lastChunk...)
}
