package process

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"fapws/runtime/checktest"
)

func notifier(t *testing.T, socket, usec, pid string) *Notifier {
	t.Setenv("NOTIFY_SOCKET", socket)
	t.Setenv("WATCHDOG_USEC", usec)
	t.Setenv("WATCHDOG_PID", pid)
	return TakeNotifier()
}

func TestNotifierWithoutAManagerIsNil(t *testing.T) {
	for _, name := range []string{"", "x", "/", "relative/path", "vsock:2:1234"} {
		checktest.Equalf(t, notifier(t, name, "1000000", ""), nil, "%q makes a notifier", name)
	}
	var n *Notifier
	checktest.Equalf(t, errors.Join(n.Ready("x"), n.Reloading(), n.Stopping(), n.Alive()), nil, "nil")
	n.Leave()
	n.Watch(context.Background(), nil)
	checktest.Truef(t, notifier(t, filepath.Join(t.TempDir(), "gone"), "", "").Ready("") != nil,
		"no error without a receiver")
}

func TestWatchdogIntervalIsReadFromTheEnvironment(t *testing.T) {
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
		n := notifier(t, "/run/x", tt.usec, tt.pid)
		checktest.Equalf(t, n.watchdog, tt.want, "WATCHDOG_USEC=%s WATCHDOG_PID=%s", tt.usec, tt.pid)
	}
}

func TestWatchdogPingThatHangsIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	tried := make(chan error)
	go (&Notifier{watchdog: time.Millisecond}).Watch(ctx, func(ctx context.Context) error {
		<-ctx.Done()
		tried <- ctx.Err()
		return ctx.Err()
	})
	err := <-tried
	checktest.Truef(t, errors.Is(err, context.DeadlineExceeded), "the ping ended with %v", err)
	cancel()
}
