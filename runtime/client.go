package runtime

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/sys/unix"

	"fapws/runtime/exchange"
	"fapws/runtime/system"
)

var errBadTarget = errors.New("not an absolute path of a URL")

// subrequest implements exchange.Services.Ask. The request arrives on a connection like a client's request, and all
// rules apply to it. The connection does not count as a client, and gets no line in the access log. A stopping server
// accepts subrequests, because it must finish the clients' requests that need them.
func (s *Server) subrequest(ctx context.Context, o exchange.Origin, target string, fields []byte) (*http.Response,
	error) {
	return subrequest(ctx, o, target, fields, func(fd int) error {
		c := s.loop.http1.NewSubrequest(fd, &o)
		if !s.loop.post(func() { s.loop.Open(c) }) {
			return errStopped
		}
		return nil
	})
}

// Try sends a GET request to the server itself, as a client on a unix socket would. Try returns the status when the
// response is complete or, for an event stream, which may never end, after its head. target is a path or the URL of a
// site. Try needs neither a password nor a session (exchange.OwnUser), but all other rules apply.
func (s *Server) Try(ctx context.Context, target string) (status int, err error) {
	u, err := url.Parse(target)
	if err != nil {
		return 0, err
	}
	o := exchange.Origin{Peer: exchange.LocalPeer, Host: cmp.Or(u.Host, "localhost"), Root: s.cfg.Sites.RootPath,
		Depth: -1, Own: true}
	r, err := s.subrequest(ctx, o, u.RequestURI(), []byte("User-Agent: fapws-reload-check\r\n"))
	if err != nil {
		return 0, err
	}
	defer r.Body.Close()
	if strings.HasPrefix(strings.ToLower(r.Header.Get("Content-Type")), "text/event-stream") {
		return r.StatusCode, nil
	}
	if _, err = io.Copy(io.Discard, r.Body); err != nil {
		err = cmp.Or(ctx.Err(), err)
	}
	return r.StatusCode, err
}

var errStopped = errors.New("the server has stopped")

// subrequest sends a request over a socketpair. serve passes the second end to the server, which owns it unless serve
// returns an error.
func subrequest(ctx context.Context, o exchange.Origin, target string, fields []byte,
	serve func(fd int) error) (*http.Response, error) {
	if o.Depth >= exchange.MaxDepth {
		return nil, exchange.ErrTooDeep
	}
	if !strings.HasPrefix(target, "/") || strings.ContainsAny(target, " \t\r\n#\x00") {
		return nil, errBadTarget
	}
	fds, err := system.SocketpairNonblock()
	if err != nil {
		return nil, fmt.Errorf("socketpair: %w", err)
	}
	c, err := system.Conn(fds[0], "inner connection")
	if err == nil {
		if err = serve(fds[1]); err != nil {
			c.Close()
		}
	}
	if err != nil {
		unix.Close(fds[1])
		return nil, cmp.Or(ctx.Err(), err)
	}
	context.AfterFunc(ctx, func() { c.Close() })
	_, err = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", target, o.Host, fields)
	var r *http.Response
	if err == nil {
		r, err = http.ReadResponse(bufio.NewReader(c), nil)
	}
	if err != nil {
		c.Close()
		return nil, cmp.Or(ctx.Err(), fmt.Errorf("no answer: %w", err))
	}
	r.Body = struct {
		io.Reader
		io.Closer
	}{r.Body, c}
	return r, nil
}
