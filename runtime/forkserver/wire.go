package forkserver

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"fapws/runtime/backend"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

// The messages on both sockets, in native byte order, as in pybridge/forkwire.h: structs
// without padding, followed by texts.

// order is a message on the control socket, in either direction.
type order struct {
	Op    uint32
	Value int32
	ID    uint64 // of the child
}

// The ops.
const (
	opStart    = 1 + iota // fork; the child's socket comes along
	opKill                // show the stack of the child, then end it
	opStderr              // another descriptor 2 comes along
	opStarted             // Value is the process number; ID 0: of the fork server
	opFailedTo            // fork has failed, Value is errno
	opEnded               // Value is the status as of waitpid(2)
)

// request is the first message to a child; len(fields) http1.Field and the data follow.
type request struct {
	Mount, Version, Flags, Fields, HeadLen, DataLen, ScriptLen, PeerLen uint32
	Method, Target, Query, Authority, Path                              http1.Span
	Addr, Port, ServerName, ServerPort, Scheme, Host, User, TLS         http1.Span
	ErrorLog                                                            http1.Span
	Size                                                                int64
	BodyOff, BodyLen                                                    uint64
}

// Flags of a request.
const (
	headOnly = 1 << iota
	hasLength
	chunked
	spooled // a descriptor of the body comes along
	traced
	byForm // the user has logged in by a form
)

// encode returns the bytes for a child. The file, if it is not nil, has the body.
func encode(r *backend.Request, mount int, errorLog string) (all []byte, spool *os.File, err error) {
	p := r.Parsed
	q := request{
		Mount: uint32(mount), Version: uint32(p.Version), Fields: uint32(len(p.Fields)), HeadLen: uint32(len(r.Head)),
		ScriptLen: uint32(r.Script), Size: r.Size,
		Method: p.Method, Target: p.Target, Query: p.Query, Authority: p.Authority,
	}
	for flag, is := range map[uint32]bool{headOnly: p.Head, hasLength: p.Body != http1.NoBody, chunked: p.Body == http1.Chunked, traced: r.Traced, byForm: r.Peer.Login == exchange.Form} {
		if is {
			q.Flags |= flag
		}
	}
	data := bytes.NewBuffer(append(make([]byte, 0, len(r.Head)+len(r.Path)+512), r.Head...))
	add := func(text string) http1.Span {
		at := http1.Span{Off: uint32(data.Len()), Len: uint32(len(text))}
		data.WriteString(text)
		data.WriteByte('\n')
		return at
	}
	peer := &r.Peer
	q.Addr, q.ServerName, q.ServerPort = add(peer.Addr), add(peer.ServerName), add(peer.ServerPort)
	q.Scheme, q.Host, q.User = add(peer.Scheme), add(peer.Host), add(peer.User)
	if peer.TLS != nil {
		q.TLS = add(peer.TLS.Variables)
	}
	q.PeerLen = uint32(data.Len() - len(r.Head))
	q.Path, q.Port, q.ErrorLog = add(r.Path), add(peer.Port), add(errorLog)
	if spool = r.BodyFile(); spool != nil {
		q.Flags |= spooled
	} else {
		q.BodyOff = uint64(data.Len())
		n, err := io.Copy(data, r.Body())
		if err != nil {
			return nil, nil, err
		}
		q.BodyLen = uint64(n)
	}
	q.DataLen = uint32(data.Len())
	if all, err = binary.Append(nil, binary.NativeEndian, &q); err == nil {
		all, err = binary.Append(all, binary.NativeEndian, p.Fields)
	}
	return append(all, data.Bytes()...), spool, err
}

// part is the beginning of a message from a child; the texts follow, in the order of their lengths, and the body.
type part struct {
	Flags                                            uint32
	Status                                           int32
	Type, Script                                     uint32
	Reason, Fields, Name, Options, Path, Send, Names uint32
	_                                                uint32
	Length, Offset, Count, Body                      int64
}

// Flags of a part.
const (
	first = 1 << iota
	last
	failed
	hasDate
	hasServer
	closeConn
	accel
	failure
	program
	withFile // a descriptor comes along
	messages // it is none: Body bytes of messages follow
)

var partSize = binary.Size(part{})

// errEnded says that a child has closed its socket between two parts.
var errEnded = errors.New("the process exited")

// child is our end of a child's socket.
type child struct {
	conn *net.UnixConn
	file *os.File // that came with the part being read, or nil
}

// send writes a request, with the descriptor of its body unless that is nil.
func (c *child) send(all []byte, spool *os.File) error {
	var rights []byte
	if spool != nil {
		rights = unix.UnixRights(int(spool.Fd()))
	}
	n, _, err := c.conn.WriteMsgUnix(all, rights, nil)
	if err == nil && n < len(all) {
		_, err = c.conn.Write(all[n:])
	}
	return err
}

// next reads the beginning of a part. errEnded: there is none.
func (c *child) next() (p part, err error) {
	buf, rights := make([]byte, partSize), make([]byte, unix.CmsgSpace(4))
	n, nr, _, _, err := c.conn.ReadMsgUnix(buf, rights)
	if n == 0 && (err == nil || errors.Is(err, io.EOF)) {
		return p, errEnded
	}
	if err == nil {
		_, err = io.ReadFull(c.conn, buf[n:])
	}
	if err != nil {
		return p, err
	}
	if c.file, err = fileOf(rights[:nr]); err != nil {
		return p, err
	}
	_, err = binary.Decode(buf, binary.NativeEndian, &p)
	return p, err
}

// fileOf returns the descriptor in a control message, nil if there is none.
func fileOf(rights []byte) (*os.File, error) {
	all, err := unix.ParseSocketControlMessage(rights)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	fds, err := unix.ParseUnixRights(&all[0])
	if err != nil || len(fds) != 1 {
		return nil, fmt.Errorf("a descriptor is missing: %w", err)
	}
	unix.CloseOnExec(fds[0])
	return os.NewFile(uintptr(fds[0]), "response"), nil
}

// maxTexts bounds the head of a response in bytes.
const maxTexts = 4 << 20

// head reads the texts of p.
func (c *child) head(p *part) (head exchange.Head, err error) {
	lengths := [...]uint32{p.Reason, p.Fields, p.Name, p.Options, p.Path, p.Send, p.Names}
	var size uint64
	for _, n := range lengths {
		size += uint64(n)
	}
	if size > maxTexts || p.Script > p.Path {
		return head, fmt.Errorf("a response head of %d bytes, %d of a path of %d", size, p.Script, p.Path)
	}
	all := make([]byte, size)
	if _, err = io.ReadFull(c.conn, all); err != nil {
		return head, err
	}
	var text [len(lengths)][]byte
	for i, n := range lengths {
		text[i], all = all[:n:n], all[n:]
	}
	return exchange.Head{
		Status: int(p.Status), Reason: text[0], Fields: text[1], Length: p.Length, Type: exchange.TypeHint(p.Type), Name: text[2],
		Static: text[3], StaticPath: text[4], SendFile: text[5], Channel: text[6],
		Program: p.Flags&program != 0, StaticScript: int(p.Script), Accel: p.Flags&accel != 0, Failure: p.Flags&failure != 0,
		HasDate: p.Flags&hasDate != 0, HasServer: p.Flags&hasServer != 0, Close: p.Flags&closeConn != 0,
	}, nil
}
