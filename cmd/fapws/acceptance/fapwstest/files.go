package fapwstest

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Must ends the test at an error.
func Must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Read returns the text of a file.
func Read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	Must(t, err)
	return string(text)
}

// FileSays waits until a file that a script writes has this text.
func FileSays(t *testing.T, name, want string) {
	t.Helper()
	Eventually(t, name+" contains "+want, func() bool {
		text, err := os.ReadFile(name)
		return err == nil && bytes.Contains(text, []byte(want))
	})
}

// Repository is the root of the repository, seen from the directory of a package of tests.
var Repository = repository()

// repository returns the nearest directory above with a go.mod.
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

// Testdata returns the absolute path of a script: from testdata beside the test, or from the scripts that several
// packages of tests serve. A script may end with ":NAME", the name of an object in it.
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
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Source returns the text of a script in testdata.
func Source(t *testing.T, script string) string {
	t.Helper()
	return Read(t, Testdata(t, script))
}

// Copied returns a copy of a script in testdata, which the test may change.
func Copied(t *testing.T, script string) string {
	t.Helper()
	return Write(t, filepath.Join(t.TempDir(), script), Source(t, script))
}

// Write makes a file for a test and returns its path.
func Write(t *testing.T, name, text string) string {
	t.Helper()
	Must(t, os.MkdirAll(filepath.Dir(name), 0o755))
	// It may be a program. A child that another test forks meanwhile would have the
	// file open for writing until its exec, and nothing could run it.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	Must(t, os.WriteFile(name, []byte(text), 0o644))
	return name
}

// WriteProgram makes a program for a test and returns its path.
func WriteProgram(t *testing.T, name, text string) string {
	t.Helper()
	Must(t, os.Chmod(Write(t, name, text), 0o755))
	return name
}

// Replace puts a new file in the place of another: no reader sees a part of it.
func Replace(t *testing.T, name, text string) {
	t.Helper()
	Must(t, os.Rename(Write(t, name+".new", text), name))
}

// Change replaces a text in a script.
func Change(t *testing.T, script, old, new string) {
	t.Helper()
	text := Read(t, script)
	if !strings.Contains(text, old) {
		t.Fatalf("no %q in %s", old, script)
	}
	Write(t, script, strings.Replace(text, old, new, 1))
}
