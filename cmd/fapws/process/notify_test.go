package process

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// manager is the receiving side of the protocol.
type manager struct{ c *net.UnixConn }

func newManager(t *testing.T, name string) manager {
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return manager{c}
}

func (m manager) message(t *testing.T) string {
	buf := make([]byte, 4096)
	m.c.SetReadDeadline(time.Now().Add(2 * time.Minute))
	n, err := m.c.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

func environ(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func TestMessages(t *testing.T) {
	for kind, name := range map[string]string{
		"path":     filepath.Join(t.TempDir(), "notify"),
		"abstract": "@fapws-test-" + strconv.Itoa(os.Getpid()),
	} {
		m := newManager(t, name)
		n := NewNotifier(environ("NOTIFY_SOCKET", name))
		for _, tt := range []struct {
			send func() error
			want string // a regular expression
		}{
			{func() error { return n.Ready("") }, `READY=1`},
			{func() error { return n.Ready("serving\non 2") }, `READY=1\nSTATUS=serving on 2`},
			{n.Reloading, `RELOADING=1\nMONOTONIC_USEC=[1-9][0-9]*`},
			{n.Stopping, `STOPPING=1`},
			{n.Alive, `WATCHDOG=1`},
		} {
			if err := tt.send(); err != nil {
				t.Errorf("%s, %s: %v", kind, tt.want, err)
				continue
			}
			if got := m.message(t); !regexp.MustCompile(`^` + tt.want + `$`).MatchString(got) {
				t.Errorf("%s: message %q, want %s", kind, got, tt.want)
			}
		}
	}
}

func TestNoManager(t *testing.T) {
	for _, name := range []string{"", "x", "/", "relative/path", "vsock:2:1234"} {
		if n := NewNotifier(environ("NOTIFY_SOCKET", name, "WATCHDOG_USEC", "1000000")); n != nil {
			t.Errorf("%q makes a notifier", name)
		}
	}
	var n *Notifier
	if err := errors.Join(n.Ready("x"), n.Reloading(), n.Stopping(), n.Alive()); err != nil {
		t.Errorf("nil: %v", err)
	}
	if n.Watchdog() != 0 || n.Environ() != nil {
		t.Error("nil has a watchdog or an environment")
	}
	n.Watch(context.Background(), nil) // returns
	if NewNotifier(environ("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "gone"))).Ready("") == nil {
		t.Error("no error without a receiver")
	}
}

func TestWatchdogInterval(t *testing.T) {
	me := strconv.Itoa(os.Getpid())
	for _, tt := range []struct {
		usec, pid string
		want      time.Duration
	}{
		{"3000000", "", 3 * time.Second},
		{"3000000", me, 3 * time.Second},
		{"3000000", "1", 0},
		{"3000000", "x", 0},
		{"", me, 0},
		{"0", me, 0},
		{"-5", me, 0},
		{"99999999999999999999", me, 0},
		{"9223372036854775807", me, 0},
		{"1s", me, 0},
	} {
		n := NewNotifier(environ("NOTIFY_SOCKET", "/run/x", "WATCHDOG_USEC", tt.usec, "WATCHDOG_PID", tt.pid))
		if got := n.Watchdog(); got != tt.want {
			t.Errorf("WATCHDOG_USEC=%s WATCHDOG_PID=%s: %v, want %v", tt.usec, tt.pid, got, tt.want)
		}
	}
}

// TestTake: children inherit nothing, a successor gets the variables that it needs.
func TestTake(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "/run/x")
	t.Setenv("WATCHDOG_USEC", "2000000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	n := TakeNotifier()
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		if text, ok := os.LookupEnv(name); ok {
			t.Errorf("%s=%s is left", name, text)
		}
	}
	env := n.Environ()
	if len(env) != 2 || env[0] != "NOTIFY_SOCKET=/run/x" || env[1] != "WATCHDOG_USEC=2000000" {
		t.Errorf("for a successor: %q", env)
	}
}

// TestWatch: the watchdog hears nothing while the server does not answer.
func TestWatch(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	ticks := make(chan time.Time)
	answers := make(chan error)
	told := make(chan bool, 1)
	ended := make(chan bool)
	go func() {
		watch(ctx, ticks, time.Hour, func(context.Context) error { return <-answers }, func() { told <- true })
		close(ended)
	}()
	for i, err := range []error{nil, context.DeadlineExceeded, context.DeadlineExceeded, nil} {
		if i > 0 {
			ticks <- time.Time{}
		}
		answers <- err
		if err == nil {
			<-told
		}
	}
	cancel()
	<-ended
	if len(told) != 0 {
		t.Error("told without an answer")
	}
}

// TestWatchBounds: a ping that hangs is given up.
func TestWatchBounds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	tried := make(chan error)
	go watch(ctx, nil, time.Millisecond, func(ctx context.Context) error {
		<-ctx.Done()
		tried <- ctx.Err()
		return ctx.Err()
	}, func() { t.Error("told without an answer") })
	if err := <-tried; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the ping ended with %v", err)
	}
	cancel()
}
