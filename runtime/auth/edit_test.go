package auth

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestEdit: users come and go, other lines and the mode of the file stay, and a mistake changes nothing.
func TestEdit(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users")
	text := func() string {
		t.Helper()
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if err := SetPassword(file, "ann", "long enough"); err == nil {
		t.Error("a password without a file")
	}
	if err := Add(file, "ann", "long enough"); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	hash := strings.TrimSpace(text())
	if err := os.WriteFile(file, []byte("# people\n\nold:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=:a comment\r\n"+hash), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	if err := Add(link, "bob", "long enough"); err != nil {
		t.Fatal(err)
	}
	before := text()
	var wrong *InvalidError
	for _, err := range []error{Add(file, "eve\nroot", "long enough"), SetPassword(file, "eve", "long enough"), addFirst(file, "eve", "long enough")} {
		if !errors.As(err, &wrong) {
			t.Error(err)
		}
	}
	if text() != before {
		t.Errorf("%s", text())
	}
	if err := SetPassword(file, "ann", "another one"); err != nil {
		t.Fatal(err)
	}
	if names, err := Names(file); err != nil || strings.Join(names, " ") != "old bob ann" {
		t.Errorf("%v %v", names, err)
	}
	if err := Remove(file, "bob"); err != nil {
		t.Fatal(err)
	}
	if got := text(); !strings.HasPrefix(got, "# people\n\nold:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=:a comment\nann:$2y$") || strings.Contains(got, hash) || strings.Count(got, "\n") != 4 {
		t.Errorf("%s", got)
	}
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o640 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(file), ".*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode().Type() != os.ModeSymlink {
		t.Error("the link was replaced")
	}
}
