package upload

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestFIFO: another program reads an upload, and holds it up as long as it likes. Without one, the upload is refused.
func TestFIFO(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	u, err := New(Options{Path: path, Sync: 4096})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.target.begin(nil, "", stored{Size: 1}); status(err) != 503 {
		t.Errorf("without a reader: %v", err)
	}
	reader, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	text := strings.Repeat("a line\n", 100_000) // more than a pipe takes
	written := make(chan error)
	go func() {
		d, err := u.target.begin(nil, "", stored{Size: int64(len(text))})
		if err == nil {
			err = d.write([]byte(text))
		}
		if err == nil {
			err = d.seal()
		}
		if err == nil {
			err = d.commit()
		}
		written <- err
	}()
	got, err := io.ReadAll(reader)
	for err == nil && len(got) == 0 { // it has not been opened for writing
		got, err = io.ReadAll(reader)
	}
	if err != nil || string(got) != text {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
}

func TestDevice(t *testing.T) {
	u, err := New(Options{Path: os.DevNull})
	if err != nil {
		t.Fatal(err)
	}
	d := begin(t, u, "", "one")
	if err := d.commit(); err != nil || d.path != os.DevNull {
		t.Errorf("%v, %s", err, d.path)
	}
	begin(t, u, "", "two").abort()
	if st, err := os.Stat(os.DevNull); err != nil || st.Mode()&os.ModeDevice == 0 {
		t.Errorf("%v, %v", st, err)
	}
}
