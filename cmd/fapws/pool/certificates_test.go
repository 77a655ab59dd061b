package pool

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"
)

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
