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

// Main runs the tests of a package. It makes the servers independent of how the tests themselves were started:
// nohup(1) would leave SIGHUP ignored in each of them, and a umask of 077 would hide
// files from the users that servers become.
func Main(m *testing.M) {
	if err := scalePatience(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP) // a caught signal is reset by execve(2), an ignored one is not
	syscall.Umask(0o022)
	code := m.Run()
	if installed.folder != "" {
		os.RemoveAll(installed.folder)
	}
	os.Exit(code)
}

// installed is a copy of the executable, with package fapws beside it, that every
// user may read. Those under test may be below a home of mode 0700.
var installed struct {
	once   sync.Once
	folder string
	err    error
	denied []byte // message of the copy that another user starts; nil: it starts
}

// ForOtherUsers makes c start the copy of the executable that every user may read, in
// a directory that every user may enter unless c names one. It skips the test where the
// Python that fapws was built for is not Debian's, but in a home that others may not enter.
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

// install copies the program and contrib/ to a new directory.
func install(program string) (folder string, err error) {
	if folder, err = os.MkdirTemp("", "fapws"); err != nil {
		return "", err
	}
	if err := os.Chmod(folder, 0o755); err != nil {
		return folder, err
	}
	return folder, copyProgram(program, folder)
}

// denied returns the message of the copy if an unprivileged user (65534) cannot start it.
func denied(folder string) []byte {
	cmd := exec.Command(folder+"/build/fapws", "--version")
	cmd.Dir, cmd.SysProcAttr = folder, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	said, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	return append(said, err.Error()...)
}

// copyForAll copies the regular files of from, readable by every user.
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

// PublicFolder returns a folder that every user may look into.
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
