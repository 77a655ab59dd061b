package runtime

import "testing"

func TestRoute(t *testing.T) {
	for _, test := range []struct {
		prefixes     []string
		path         string
		mount        int
		script, info string
	}{
		{[]string{"/"}, "/", 0, "", "/"},
		{[]string{"/"}, "/a/b", 0, "", "/a/b"},
		{[]string{"/abc"}, "/abcdef", 0, "", "/abcdef"},
		{[]string{"/abc"}, "/abc", 0, "/abc", ""},
		{[]string{"/abc"}, "/abc/", 0, "/abc", "/"},
		{[]string{"/a/"}, "/a/b", 0, "/a", "/b"},
		{[]string{"/a/"}, "/a/", 0, "/a", "/"},
		{[]string{"/a/"}, "/a//b", 0, "/a", "//b"},
		{[]string{"/a//"}, "/a//b", 0, "/a", "//b"},
		{[]string{"/a/"}, "/a", -1, "", ""},
		{[]string{"/a/b"}, "/a/bc", 0, "/a", "/bc"},
		{[]string{"/a/b"}, "/a/b/c", 0, "/a/b", "/c"},
		{[]string{""}, "/x", 0, "", "/x"},
		{[]string{"/a", "/ab"}, "/abc", 0, "", "/abc"},
		{[]string{"/b", "/a"}, "/a", 1, "/a", ""},
		{[]string{"/b"}, "/a", -1, "", ""},
		{nil, "/", -1, "", ""},
		{[]string{"/é"}, "/é/x", 0, "/é", "/x"},
	} {
		var table []Mount
		for _, p := range test.prefixes {
			table = append(table, Mount{Prefix: p, Index: len(table)})
		}
		m, script := first(table, test.path)
		mount := -1
		if m != nil {
			mount = m.Index
		}
		if mount != test.mount {
			t.Errorf("%q on %q: mount %d, want %d", test.prefixes, test.path, mount, test.mount)
			continue
		}
		if mount < 0 {
			continue
		}
		if got := test.path[:script]; got != test.script || test.path[script:] != test.info {
			t.Errorf("%q on %q: %q + %q, want %q + %q", test.prefixes, test.path, got, test.path[script:], test.script, test.info)
		}
	}
}

// first returns the first mount that fits, or nil, and the length of
// SCRIPT_NAME.
func first(table []Mount, path string) (*Mount, int) {
	for i := range table {
		if script, ok := table[i].fits([]byte(path)); ok {
			return &table[i], script
		}
	}
	return nil, 0
}
