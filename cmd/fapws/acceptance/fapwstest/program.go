package fapwstest

import (
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// CopyOfProgram puts a copy of fapws where a test may replace it, beside a copy
// of its Python package.
func CopyOfProgram(t *testing.T) string {
	t.Helper()
	folder, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	real, err := filepath.EvalSymlinks(Binary(t))
	if err != nil {
		t.Fatal(err)
	}
	contrib, err := filepath.Abs(Repository + "/contrib")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(contrib, folder+"/contrib"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(folder+"/build", 0o755); err != nil {
		t.Fatal(err)
	}
	ReplaceProgram(t, folder+"/build/fapws", real)
	return folder + "/build/fapws"
}

// ReplaceProgram puts a copy of the file with in the place of the executable at, as an installation does.
func ReplaceProgram(t *testing.T, at, with string) {
	t.Helper()
	from, err := os.Open(with)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	syscall.ForkLock.RLock() // see Write
	defer syscall.ForkLock.RUnlock()
	to, err := os.OpenFile(at+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(to, from)
	if closed := to.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(at+".new", at)
	}
	if err != nil {
		t.Fatal(err)
	}
}
