package confine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFurnishedPaths: files below the folder have the same path inside.
func TestFurnishedPaths(t *testing.T) {
	if os.Geteuid() != 0 {
		if err := FurnishChroot(t.TempDir()); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("who is not root may not make dev/null: %v", err)
		}
		return
	}
	root, err := FindChroot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time it is there
		if err := FurnishChroot(root); err != nil {
			t.Fatal(err)
		}
	}
	if inside, err := filepath.EvalSymlinks(root + root); err != nil || inside != root {
		t.Errorf("%s is %s, %v", root+root, inside, err)
	}
	if st, err := os.Stat(root + "/tmp"); err != nil || st.Mode().Perm() != 0o777 || st.Mode()&os.ModeSticky == 0 {
		t.Errorf("tmp: %v, %v", st.Mode(), err)
	}
	if err := os.WriteFile(root+"/dev/null", []byte("x"), 0); err != nil {
		t.Error(err)
	}
}
