package sites

import (
	"slices"

	"fapws/runtime/http1"
)

// remoteUser is the field by which applications behind a proxy, and those of ASGI, learn of the user. Where some site or mount has users,
// clients cannot send it: an application may see it on a path that needs no password, too.
const remoteUser = "remote-user"

// dropRemoteUser removes that field, in each spelling that applications take for it, as CGI's "_" for "-". It is removed from the head
// itself, which others parse again: another process, the next worker of a WebSocket.
func (q *request) dropRemoteUser() {
	forged := func(f http1.Field) bool {
		return int(f.Name.Len) == len(remoteUser) && isRemoteUser(f.Name.In(q.Head))
	}
	if slices.ContainsFunc(q.parsed.Fields, forged) {
		q.Head = append(q.parsed.AppendWithout(nil, q.Head, forged), "\r\n"...)
		q.parsed.HeadLen = len(q.Head)
	}
}

func isRemoteUser(name []byte) bool {
	for i, c := range name {
		if want := remoteUser[i]; c|0x20 != want && !(want == '-' && c == '_') {
			return false
		}
	}
	return true
}
