package samples

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func (b *browser) upload(t *testing.T) {
	folder := copySample(t, "upload")
	s := startServer(t, nil, filepath.Join(folder, "upload.py"), nil)
	small, large := filepath.Join(t.TempDir(), "small.txt"), filepath.Join(t.TempDir(), "large file.bin")
	for name, size := range map[string]int{small: 5, large: 3 << 20} {
		fapwstest.Write(t, name, strings.Repeat("x", size))
	}
	p := b.open(t, s.URL)
	p.await("streams.open == 1")
	p.run(chromedp.SetUploadFiles("input[type=file]", []string{small, large}, chromedp.ByQuery, chromedp.NodeReady))
	value[bool](p, `document.forms[0].note.value = "from the browser", document.forms[0].requestSubmit(), true`)
	p.await(`at("state").textContent.includes("large file.bin: 3145728 bytes, sha256 ")`)
	p.await(`at("state").textContent.includes("note: from the browser")`)
	p.await(`/stored, 3\.0 MiB/.test(at("all").textContent)`)
	if st, err := os.Stat(filepath.Join(folder, "uploads", "large file.bin")); err != nil || st.Size() != 3<<20 {
		t.Errorf("%v, %v", st, err)
	}
	if entries, _ := os.ReadDir(filepath.Join(folder, "uploads")); len(entries) != 2 {
		t.Errorf("%d files", len(entries))
	}
}
