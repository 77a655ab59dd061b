package fapwstest

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// Main makes servers independent of how the tests were started: under nohup(1), servers would ignore SIGHUP, and a
// umask of 077 would hide files from the users of the servers.
func Main(m *testing.M) {
	if err := scalePatience(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	// Programs inherit ignored signals, but a caught signal has its default action after execve(2).
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	syscall.Umask(0o022)
	code := m.Run()
	if installed.folder != "" {
		os.RemoveAll(installed.folder)
	}
	os.Exit(code)
}

// installed is a copy of the executable and of package fapws that every user may read, because the files under test may
// be below a home directory of mode 0700.
var installed struct {
	once   sync.Once
	folder string
	err    error
	// If another user cannot start the copy, denied is the error message.
	denied []byte
}

// ForOtherUsers returns c with the copy of the executable that every user may read. If c names no directory, the
// returned Command runs in a directory that every user may enter. The test is skipped if fapws was built for a Python
// in a home directory that other users may not enter.
func (c Command) ForOtherUsers(t *testing.T) Command {
	t.Helper()
	program := Binary(t)
	installed.once.Do(func() {
		if installed.folder, installed.err = install(program); installed.err == nil && os.Geteuid() == 0 {
			installed.denied = denied(installed.folder)
		}
	})
	if installed.err != nil {
		t.Fatal(installed.err)
	}
	if installed.denied != nil && !strings.HasPrefix(Python, "/usr/bin/") {
		t.Skipf("other users may not read %s: %s", Python, installed.denied)
	}
	c.Program = filepath.Join(installed.folder, "build", "fapws")
	if c.Dir == "" {
		c.Dir = installed.folder
	}
	return c
}

func install(program string) (folder string, err error) {
	if folder, err = os.MkdirTemp("", "fapws"); err != nil {
		return "", err
	}
	if err := os.Chmod(folder, 0o755); err != nil {
		return folder, err
	}
	return folder, copyProgram(program, folder)
}

func denied(folder string) []byte {
	cmd := exec.Command(folder+"/build/fapws", "--version")
	cmd.Dir, cmd.SysProcAttr = folder, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	said, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	return append(said, err.Error()...)
}

func copyForAll(to string, from fs.FS) error {
	return fs.WalkDir(from, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, name), 0o755)
		case !d.Type().IsRegular():
			return nil
		}
		text, err := fs.ReadFile(from, name)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, name), text, 0o644)
	})
}

func PublicFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "fapws")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	Must(t, os.Chmod(folder, 0o755))
	return folder
}
