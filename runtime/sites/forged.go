package sites

import (
	"fmt"
	"slices"
	"time"

	"fapws/runtime/http1"
	"fapws/runtime/loglevel"
)

// remoteUser is the field by which applications behind a proxy, and those of ASGI, learn of the user. Where some site or mount has users,
// clients cannot send it: an application may see it on a path that needs no password, too.
const remoteUser = "remote-user"

// dropForged removes the fields that only the server, or a trusted proxy, may set: that of the user, and forwarding fields. They are
// removed from the head itself, which others parse again: another process, the next worker of a WebSocket. A subrequest has what is left
// of those of its client.
func (s *Sites) dropForged(x *Exchange) {
	q, c := x.req, x.client
	forwarded := q.parsed.Forwarded && c.subrequest == nil && (c.proxy == nil || !c.proxy.trusted)
	if !forwarded && !s.table.users {
		return
	}
	forged := func(f http1.Field) bool {
		name := f.Name.In(q.Head)
		return s.table.users && http1.IsSpelled(name, remoteUser) || forwarded && http1.IsForwarding(name)
	}
	if !slices.ContainsFunc(q.parsed.Fields, forged) {
		return
	}
	if forwarded && s.undeclared.Once(time.Hour) {
		s.warnUndeclared(c)
	}
	q.Head = append(q.parsed.AppendWithout(nil, q.Head, forged), "\r\n"...)
	q.parsed.HeadLen = len(q.Head)
}

// warnUndeclared tells the operator what to do if c is a proxy.
func (s *Sites) warnUndeclared(c *Client) {
	addr := c.direct().Addr
	if addr == "" {
		addr = "unix"
	}
	s.cfg.LogClient(loglevel.Info, c.String(), fmt.Sprintf("its fields Forwarded, X-Forwarded-* and X-Real-IP are removed, because %s is not a trusted proxy; "+
		"if your proxy has this address, add --forwarded-allow-ips %[1]s", addr))
}
