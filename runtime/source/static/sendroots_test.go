package static

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSendRoots(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a", "a/b", "real"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("real", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	var r sendRoots
	if err := r.open([]string{dir + "/a", dir + "/a/b", dir + "/link"}, []AccelRoot{{"/x/", dir + "/a"}, {"/x/b", dir + "/a/b"}, {"/", dir + "/real"}}, nil); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		value string
		accel bool
		root  int // -1: none
		name  string
	}{
		{"f", false, 0, "f"},
		{"./x/../f", false, 0, "f"},
		{"../f", false, 0, "../f"}, // os.Root refuses
		{dir + "/a/f", false, 0, "f"},
		{dir + "/a/b/f", false, 1, "f"},
		{dir + "/a/bc", false, 0, "bc"},
		{dir + "/a//b/./f", false, 1, "f"},
		{dir + "/link/f", false, 2, "f"},
		{dir + "/real/f", false, 2, "f"},
		{dir + "/a", false, 0, "."},
		{dir + "/ab", false, -1, ""},
		{dir + "/a/../real2", false, -1, ""},
		{"/", false, -1, ""},
		{"/x/f", true, 0, "f"},
		{"/x/b/f?q=%", true, 1, "f"},
		{"/x/bc", true, 0, "bc"},
		{"/x/b/../f", true, 0, "f"},
		{"/x/../f", true, 2, "f"},
		{"/x/../../f", true, -1, ""},
		{"/x//../f", true, -1, ""},
		{"/x/%2e%2e/%2fx/f", true, 0, "f"},
		{"/x%2Ff%3F", true, 0, "f?"},
		{"//x//f", true, 0, "f"},
		{"/y", true, 2, "y"},
		{"f", true, -1, ""},
		{"", true, -1, ""},
		{"/x/%", true, -1, ""},
		{"/x/a%00", true, -1, ""},
		{"http://evil.example/x", true, -1, ""},
	} {
		files, name, err := r.find(c.value, c.accel)
		roots := r.named
		if c.accel {
			roots = r.mapped
		}
		if c.root < 0 {
			if err == nil {
				t.Errorf("%q: %q", c.value, name)
			}
		} else if err != nil || files != roots[c.root].files || name != c.name {
			t.Errorf("%q: %q, %v", c.value, name, err)
		}
	}
	if err := new(sendRoots).open(nil, []AccelRoot{{"/x", dir + "/none"}}, nil); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("a folder that is not there: %v", err)
	}
}
