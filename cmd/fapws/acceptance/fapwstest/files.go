package fapwstest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func Read(t *testing.T, name string) string {
	t.Helper()
	return string(Try(os.ReadFile(name)).Must(t))
}

func Exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// FileMatches waits until the text of the file has a match of pattern.
func FileMatches(t *testing.T, name, pattern string) {
	t.Helper()
	want := regexp.MustCompile(pattern)
	Eventually(t, name+" has "+pattern, func() bool { return want.MatchString(TextOf(t, name)) })
}

// TextOf returns the text of a file, or "" if the file does not exist.
func TextOf(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	Needf(t, err == nil || os.IsNotExist(err), "%v", err)
	return string(text)
}

func FileSays(t *testing.T, name, want string) {
	t.Helper()
	Eventually(t, name+" contains "+want, func() bool {
		text, err := os.ReadFile(name)
		return err == nil && bytes.Contains(text, []byte(want))
	})
}

var Repository = repository()

func repository() string {
	root := "."
	for range 6 {
		if _, err := os.Stat(root + "/go.mod"); err == nil {
			return root
		}
		root += "/.."
	}
	return "."
}

// Testdata returns the path of a script in testdata of the package, or in the common testdata. An ending ":NAME" names
// an object in the script.
func Testdata(t *testing.T, script string) string {
	t.Helper()
	if filepath.IsAbs(script) {
		return script
	}
	path := filepath.Join("testdata", script)
	file, _, _ := strings.Cut(path, ":")
	if _, err := os.Stat(file); err != nil {
		path = filepath.Join("..", path)
	}
	path = Try(filepath.Abs(path)).Must(t)
	return path
}

func Source(t *testing.T, script string) string {
	t.Helper()
	return Read(t, Testdata(t, script))
}

func Copied(t *testing.T, script string) string {
	t.Helper()
	return Write(t, filepath.Join(t.TempDir(), script), Source(t, script))
}

func Write(t *testing.T, name, text string) string {
	t.Helper()
	Must(t, os.MkdirAll(filepath.Dir(name), 0o755))
	// If another test forked a child during the write, the child would keep the file open until the child's exec. The
	// kernel refuses to execute a file that is open for writing (ETXTBSY).
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	Must(t, os.WriteFile(name, []byte(text), 0o644))
	return name
}

// Files writes files into a new directory, and returns it. Files that begin with "#!" are programs.
func Files(t *testing.T, texts map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range texts {
		if strings.HasPrefix(text, "#!") {
			WriteProgram(t, dir+"/"+name, text)
		} else {
			Write(t, dir+"/"+name, text)
		}
	}
	return dir
}

func WriteProgram(t *testing.T, name, text string) string {
	t.Helper()
	Must(t, os.Chmod(Write(t, name, text), 0o755))
	return name
}

// Replace replaces the file as a whole: readers never see a part of the new text.
func Replace(t *testing.T, name, text string) {
	t.Helper()
	Must(t, os.Rename(Write(t, name+".new", text), name))
}

func Change(t *testing.T, script, old, new string) {
	t.Helper()
	text := Read(t, script)
	Needf(t, strings.Contains(text, old), "no %q in %s", old, script)
	Write(t, script, strings.Replace(text, old, new, 1))
}

func Terminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person = Try(os.OpenFile("/dev/ptmx", os.O_RDWR, 0)).Must(t)
	t.Cleanup(func() { person.Close() })
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	Must(t, err)
	t.Cleanup(func() { program.Close() })
	return person, program
}
