package process

import (
	"context"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// The variables of the protocol.
const (
	socketVariable = "NOTIFY_SOCKET"
	usecVariable   = "WATCHDOG_USEC"
	pidVariable    = "WATCHDOG_PID"
)

// Notifier sends to a service manager. All methods may be called from any goroutine, and do nothing for a nil
// Notifier, that of a process without a manager. Messages are best effort, as sd_notify(3) recommends: an error is
// for a log line.
type Notifier struct {
	address  *net.UnixAddr
	watchdog time.Duration
}

// TakeNotifier makes a Notifier from the environment of this process and removes what
// it has read there: children must not speak for the service.
func TakeNotifier() *Notifier {
	n := NewNotifier(os.Getenv)
	for _, name := range []string{socketVariable, usecVariable, pidVariable} {
		os.Unsetenv(name)
	}
	return n
}

// NewNotifier makes a Notifier from an environment; nil when there is no manager, or
// one that cannot be reached by a unix socket.
func NewNotifier(getenv func(string) string) *Notifier {
	name := getenv(socketVariable)
	if len(name) < 2 || name[0] != '/' && name[0] != '@' {
		return nil
	}
	n := &Notifier{address: &net.UnixAddr{Name: name, Net: "unixgram"}}
	if pid := getenv(pidVariable); pid == "" || pid == strconv.Itoa(os.Getpid()) {
		if usec, err := strconv.ParseInt(getenv(usecVariable), 10, 64); err == nil && usec > 0 && usec < 1<<53 {
			n.watchdog = time.Duration(usec) * time.Microsecond
		}
	}
	return n
}

// Environ returns the variables for a process that takes the service over from this one.
func (n *Notifier) Environ() (env []string) {
	if n == nil {
		return nil
	}
	env = []string{socketVariable + "=" + n.address.Name}
	if n.watchdog > 0 {
		env = append(env, usecVariable+"="+strconv.FormatInt(n.watchdog.Microseconds(), 10))
	}
	return env
}

// Watchdog returns within which time the manager expects Alive, again and
// again, or it restarts the service; 0 when it expects none.
func (n *Notifier) Watchdog() time.Duration {
	if n == nil {
		return 0
	}
	return n.watchdog
}

// Ready says that the service serves: the start, or a reload, has come to its
// end. status is one human-readable line, or "".
func (n *Notifier) Ready(status string) error { return n.send("READY=1", statusLine(status)) }

// Reloading says that a reload begins; Ready says that it is over.
func (n *Notifier) Reloading() error {
	now, err := monotonic()
	if err != nil {
		return err
	}
	return n.send("RELOADING=1", "MONOTONIC_USEC="+strconv.FormatInt(now.Microseconds(), 10))
}

// Stopping says that the service is about to end.
func (n *Notifier) Stopping() error { return n.send("STOPPING=1") }

// Status sets the line that systemctl status shows.
func (n *Notifier) Status(text string) error { return n.send(statusLine(text)) }

// Alive tells the watchdog that the service answers.
func (n *Notifier) Alive() error { return n.send("WATCHDOG=1") }

func statusLine(text string) string {
	if text == "" {
		return ""
	}
	return "STATUS=" + strings.ReplaceAll(text, "\n", " ")
}

// send sends the assignments that are not empty. It connects every time: the manager may have restarted, with another
// socket at the same address.
func (n *Notifier) send(assignments ...string) error {
	if n == nil {
		return nil
	}
	var lines []string
	for _, a := range assignments {
		if a != "" {
			lines = append(lines, a)
		}
	}
	c, err := net.DialUnix("unixgram", nil, n.address)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetWriteDeadline(time.Now().Add(time.Second)); err != nil { // a manager that does not read
		return err
	}
	_, err = c.Write([]byte(strings.Join(lines, "\n")))
	return err
}

// Watch tells the watchdog at half its interval that the service is alive, as long as ping succeeds within that time.
// It returns when ctx ends, or at once when the manager has no watchdog.
func (n *Notifier) Watch(ctx context.Context, ping func(context.Context) error) {
	if n.Watchdog() == 0 {
		return
	}
	every := n.Watchdog() / 2
	ticks := time.NewTicker(every)
	defer ticks.Stop()
	watch(ctx, ticks.C, every, ping, func() { _ = n.Alive() })
}

func watch(ctx context.Context, ticks <-chan time.Time, within time.Duration, ping func(context.Context) error, alive func()) {
	for {
		trial, cancel := context.WithTimeout(ctx, within)
		err := ping(trial)
		cancel()
		if err == nil {
			alive()
		}
		select {
		case <-ticks:
		case <-ctx.Done():
			return
		}
	}
}
