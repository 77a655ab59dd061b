package runtime

import (
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"fapws/runtime/auth"
	"fapws/runtime/sites"
	"fapws/runtime/system"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/sys/unix"
)

func basic(user, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password)) + "\r\n"
}

func mustAuth(t testing.TB, users ...string) *auth.Basic {
	t.Helper()
	file := filepath.Join(t.TempDir(), "users")
	var text string
	for _, user := range users {
		name, password, _ := strings.Cut(user, ":")
		hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		text += name + ":" + string(hash) + "\n"
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	known, err := auth.NewUsers(auth.NewChecker(), file, nil)
	if err != nil {
		t.Fatal(err)
	}
	a, err := auth.NewBasic("test", known)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// A client may leave, and the server may stop, while a password is checked.
func TestLoginInterrupted(t *testing.T) {
	t.Parallel()
	s := serveSites(t, Config{}, newApp(true, demo), sites.Site{Table: []sites.Mount{
		{Prefix: "/", Rules: mustRules(t, sites.RuleOptions{Auth: mustAuth(t, "ann:secret")})},
	}})
	for i := range 10 {
		c := s.dial(t)
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n"+basic("ann", string(rune('a'+i)))+"\r\n")
		if i%2 == 0 {
			c.SetLinger(0)
		}
		c.Close()
	}
	eventually(t, "they are gone", func() bool { return s.loop.live.Load() == 0 })
}

// A client that has shut down its side, and has probably left, does not keep its connection until its wrong password is answered, which
// takes the longer the more of them came.
func TestLoginHalfClosed(t *testing.T) {
	t.Parallel()
	var answered atomic.Int32
	s := serveSites(t, Config{Sites: sites.Config{Answered: func(*sites.RequestSummary) { answered.Add(1) }}}, newApp(true, demo), sites.Site{Table: []sites.Mount{
		{Prefix: "/", Rules: mustRules(t, sites.RuleOptions{Auth: mustAuth(t, "ann:secret")})},
	}})
	for i := range 200 {
		c := s.dial(t)
		fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\n%s\r\n", basic("ann", fmt.Sprint("wrong", i)))
		c.CloseWrite()
		defer c.Close()
	}
	eventually(t, "they are gone", func() bool { return s.loop.live.Load() == 0 })
	if n := answered.Load(); n > 100 {
		t.Errorf("%d were answered", n)
	}
}

// enrolled returns the other end of a connection that it gives to enrol.
func enrolled(t *testing.T, enrol func(net.Conn) error) net.Conn {
	t.Helper()
	fds, err := system.Socketpair(unix.SOCK_STREAM)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]net.Conn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "socketpair")
		if ends[i], err = net.FileConn(f); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	t.Cleanup(func() { ends[1].Close() })
	if err := enrol(ends[0]); err != nil {
		t.Fatal(err)
	}
	return ends[1]
}

// The server tries its application without a password, where clients need one.
func TestOwnNeedsNoPassword(t *testing.T) {
	s := serveSites(t, Config{}, newApp(true, demo), sites.Site{Table: []sites.Mount{
		{Prefix: "/", Rules: mustRules(t, sites.RuleOptions{Auth: mustAuth(t, "ann:secret")})},
	}})
	for _, tt := range []struct {
		enrol func(net.Conn) error
		want  string
	}{{s.Enrol, "HTTP/1.1 401 "}, {s.EnrolOwn, "HTTP/1.1 200 "}} {
		c := enrolled(t, tt.enrol)
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		if all, _ := io.ReadAll(c); !strings.HasPrefix(string(all), tt.want) {
			t.Errorf("%.100q, want %s", all, tt.want)
		}
	}
}
