package process

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

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
