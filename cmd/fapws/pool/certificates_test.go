package pool

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
)

// TestCertificates: a worker gets what it wants as a file, or why not, and another file when that has changed.
func TestCertificates(t *testing.T) {
	t.Parallel()
	var present, calls atomic.Int64
	text := func() string { return strings.Repeat("secret", int(present.Load())) }
	var last string
	h := start(t, "want x", func(o *Options) {
		o.Certificates = func(want string, again bool) (*os.File, error) {
			calls.Add(1)
			if want != strings.Repeat("ab", maxPiece) {
				return nil, errors.New("no such file")
			}
			if again && text() == last {
				return nil, nil
			}
			last = text()
			return SharedFile("certificates", []byte(last))
		}
	})
	h.serving(2)
	wants := func(texts ...string) {
		t.Helper()
		want := ""
		for _, one := range texts {
			want += one + " "
		}
		replies := h.Ask(t.Context(), "certificates")
		if len(replies) != 2 || replies[0].Text != want || replies[1].Text != want {
			t.Errorf("workers have got %q, want %q", replies, want)
		}
	}
	present.Store(1)
	wants("certificates=no such file")
	h.behave("want ab")
	if err := h.ReloadAndWait("because"); err != nil {
		t.Fatal(err)
	}
	h.serving(2)
	wants("certificates=secret")
	h.RenewCertificates()
	present.Store(2)
	before := calls.Load()
	h.RenewCertificates()
	h.RenewCertificates()
	wants("certificates=secret", "renewed=secretsecret")
	if n := calls.Load() - before; n < 2 || n > 3 { // once for both workers; the first of the three may come late
		t.Errorf("asked %d times", n)
	}
}

// TestCertificatesOfOthers: a worker that has been taken over gets no keys.
func TestCertificatesOfOthers(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	h := start(t, "", func(o *Options) {
		o.Certificates = func(string, bool) (*os.File, error) {
			asked.Add(1)
			return SharedFile("certificates", []byte("secret"))
		}
	})
	before := h.serving(2)
	h.Ask(t.Context(), "want other") // ends with the workers
	for _, pid := range before {
		h.says(fmt.Sprintf(`worker %d asked for certificates after .* and was killed; starting a new one`, pid))
	}
	if n := asked.Load(); n > 0 {
		t.Errorf("%d questions were answered", n)
	}
}

// TestSharedFile: others can read it again and again, and not change it.
func TestSharedFile(t *testing.T) {
	f, err := SharedFile("x", []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for range 2 {
		if text, err := ReadShared(f); err != nil || string(text) != "secret" {
			t.Errorf("%q, %v", text, err)
		}
	}
	if _, err := f.WriteAt([]byte("x"), 0); err == nil {
		t.Error("it can be written to")
	}
	if f.Truncate(0) == nil {
		t.Error("it can be cut off")
	}
}
