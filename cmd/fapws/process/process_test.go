package process

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/checktest"
)

func dead(t *testing.T) int {
	cmd := exec.Command("true")
	checktest.Must(t, cmd.Run())
	return cmd.Process.Pid
}

func TestPIDFileReplacesOnlyFilesOfDeadProcesses(t *testing.T) {
	mine := strconv.Itoa(os.Getpid()) + "\n"
	parent := strconv.Itoa(os.Getppid())
	for _, tt := range []struct {
		name   string
		before func(t *testing.T, path string)
		fails  string
	}{
		{"nothing there", func(*testing.T, string) {}, ""},
		{"empty", holding(""), ""},
		{"a dead process", func(t *testing.T, path string) { holding(strconv.Itoa(dead(t)))(t, path) }, ""},
		{"this process", holding(mine), ""},
		{"a running process", holding(parent), "process " + parent + " is running"},
		{"another file", holding("root:x:0:0:root:/root:/bin/bash\n"), "does not contain a process ID"},
		{"a negative number", holding("-1\n"), "does not contain a process ID"},
		{"a FIFO", func(t *testing.T, path string) { must(t, unix.Mkfifo(path, 0o600)) }, "not a file"},
		{"a folder", func(t *testing.T, path string) { must(t, os.Mkdir(path, 0o700)) }, "not a file"},
		{"no folder", func(t *testing.T, path string) { must(t, os.Remove(filepath.Dir(path))) }, "no such file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "run")
			must(t, os.Mkdir(dir, 0o755))
			path := filepath.Join(dir, "app.pid")
			tt.before(t, path)
			f, err := WritePIDFile(path)
			if tt.fails != "" {
				checktest.Truef(t, err != nil && strings.Contains(err.Error(), tt.fails) && !strings.Contains(err.Error(), "\n"),
					"error %v, want %q in it", err, tt.fails)
				checktest.Truef(t, f == nil && f.Remove() == nil, "a failed Write has something to remove")
				return
			}
			must(t, err)
			text, _ := os.ReadFile(path)
			checktest.Equalf(t, string(text), mine, "it holds")
			info, _ := os.Stat(path)
			checktest.Equalf(t, info.Mode(), 0o644, "mode")
			must(t, f.Remove())
			must(t, f.Remove())
			left, _ := os.ReadDir(dir)
			checktest.Equalf(t, len(left), 0, "left behind: %v", left)
		})
	}
}

func TestPIDFileDoesNotFollowASymbolicLink(t *testing.T) {
	dir := t.TempDir()
	target, path := filepath.Join(dir, "target"), filepath.Join(dir, "app.pid")
	holding("precious")(t, target)
	must(t, os.Symlink(target, path))
	f, err := WritePIDFile(path)
	must(t, err)
	must(t, f.Remove())
	text, _ := os.ReadFile(target)
	checktest.Equalf(t, string(text), "precious", "the target of the link holds")
}

func TestPIDFileOfAnotherProcessIsNotRemoved(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, path string){
		"replaced": func(t *testing.T, path string) { must(t, os.Remove(path)); holding("1\n")(t, path) },
		"written":  holding("1\n"),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "app.pid")
			f, err := WritePIDFile(path)
			must(t, err)
			change(t, path)
			must(t, f.Remove())
			text, _ := os.ReadFile(path)
			checktest.Equalf(t, string(text), "1\n", "it holds")
		})
	}
	path := filepath.Join(t.TempDir(), "app.pid")
	f, err := WritePIDFile(path)
	must(t, err)
	must(t, os.Remove(path))
	checktest.Equalf(t, f.Remove(), nil, "a file that is gone already")
}

func holding(text string) func(*testing.T, string) {
	return func(t *testing.T, path string) { must(t, os.WriteFile(path, []byte(text), 0o600)) }
}

func must(t *testing.T, err error) {
	t.Helper()
	checktest.Must(t, err)
}

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

func TestPOSIXTimeZoneRulesAreReadLikeTheCLibrary(t *testing.T) {
	const winter, summer = "2026-01-15T12:00:00Z", "2026-07-15T12:00:00Z"
	for rule, want := range map[string][2]string{
		"CET-1CEST,M3.5.0,M10.5.0/3":       {"13:00 CET", "14:00 CEST"},
		":CET-1CEST,M3.5.0,M10.5.0/3":      {"13:00 CET", "14:00 CEST"},
		"<+0530>-5:30":                     {"17:30 +0530", "17:30 +0530"},
		"JST-9":                            {"21:00 JST", "21:00 JST"},
		"NZST-12NZDT,M9.5.0,M4.1.0/3":      {"01:00 NZDT", "00:00 NZST"},
		"<-03>3<-02>,M3.5.0/-2,M10.5.0/-1": {"09:00 -03", "10:00 -02"},
		"AAA5BBB,J60/0,J300":               {"07:00 AAA", "08:00 BBB"},
		"<+0330>-3:30":                     {"15:30 +0330", "15:30 +0330"},
		"AEST-10AEDT,M10.1.0,M4.1.0/3":     {"23:00 AEDT", "22:00 AEST"},
		"EET-2EEST,J90/2:30,J300":          {"14:00 EET", "15:00 EEST"},
		"<-04>4<-03>,M9.1.6/24,M4.1.6/24":  {"09:00 -03", "08:00 -04"},
		"not a rule":                       {"12:00 ?", "12:00 ?"},
		"CET-1CEST,M3.5.0":                 {"12:00 ?", "12:00 ?"},
		"CET-1\n":                          {"12:00 ?", "12:00 ?"},
	} {
		zone := zoneOf(rule)
		if zone == nil {
			t.Errorf("%s: no zone", rule)
			continue
		}
		for i, at := range [...]string{winter, summer} {
			when, _ := time.Parse(time.RFC3339, at)
			checktest.Equalf(t, when.In(zone).Format("15:04 MST"), want[i], "%s at %s", rule, at)
		}
	}
	for _, name := range []string{"", "UTC", ":UTC", "/etc/localtime", ":/etc/localtime"} {
		checktest.Equalf(t, zoneOf(name), nil, "%q is taken for a rule", name)
	}
}
