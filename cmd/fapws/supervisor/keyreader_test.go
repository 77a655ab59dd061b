package supervisor

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fapws/cmd/fapws/pool"
	"fapws/runtime/checktest"
)

// TestMain makes the test binary act as the process that reads keys.
func TestMain(m *testing.M) {
	if KeyReaderWanted() {
		if err := RunKeyReader(); err != nil {
			panic(err)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestKeyReaderReadsOnlyTheNamedFiles(t *testing.T) {
	dir := t.TempDir()
	key, other := filepath.Join(dir, "key.pem"), filepath.Join(dir, "other.pem")
	put := func(name, text string) {
		t.Helper()
		checktest.Must(t, os.WriteFile(name, []byte(text), 0o640))
	}
	put(key, "one")
	put(other, "secret")
	long := make([]string, 1000)
	for i := range long {
		long[i] = filepath.Join(dir, strings.Repeat("x", 100))
	}
	r := checktest.Try(StartKeyReader(append(long, key, dir))).Must(t)
	want := func(name, text, wrong string) {
		t.Helper()
		data, mode, err := r.Read(name)
		switch {
		case wrong != "":
			checktest.Truef(t, err != nil && strings.Contains(err.Error(), wrong), "%s: %q, %v, want %s", name, data, err, wrong)
		case err != nil || string(data) != text || mode != 0o640:
			t.Errorf("%s: %q, mode %o, %v, want %q", name, data, mode, err, text)
		}
	}
	want(key, "one", "")
	put(key, "two")
	want(key, "two", "")
	want(other, "", "was not named")
	want(dir, "", "is a directory")
	want(long[0], "", "no such file")
	fd := checktest.Try(pool.Duplicate(r.channel)).Must(t)
	f := os.NewFile(uintptr(fd), "channel")
	r = checktest.Try(TakeKeyReader(f)).Must(t)
	f.Close()
	want(key, "two", "")
	r.channel.Close()
	for range 2 {
		_, _, err := r.Read(key)
		checktest.Truef(t, errors.Is(err, fs.ErrPermission), "after its end: %v", err)
	}
}
