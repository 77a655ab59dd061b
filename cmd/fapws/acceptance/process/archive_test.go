package process_test

import (
	"archive/zip"
	"os"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// --reload watches an archive that is the application, also if a new file replaces it.
func TestNewArchiveReloadsItsApplication(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pack := func(body string) {
		file := fapwstest.Try(os.Create(dir + "/new")).Must(t)
		archive := zip.NewWriter(file)
		for name, text := range map[string]string{"__main__.py": "import shop\nshop.app()\n", "shop.py": `
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"` + body + `"]
`} {
			w := fapwstest.Try(archive.Create(name)).Must(t)
			fapwstest.Try(w.Write([]byte(text))).Must(t)
		}
		fapwstest.Must(t, archive.Close(), file.Close(), os.Rename(dir+"/new", dir+"/app.pyz"))
	}
	pack("one")
	s := fapwstest.Command{Dir: dir, Flags: []string{"--reload", "-b", "127.0.0.1:0", "app.pyz"}}.Started(t)
	s.Ask(fapwstest.Get("/")).Want(t, 200).Is(t, "one")
	pack("two")
	s.Says("info reloading: app.pyz changed")
	s.Says("info reloaded")
	s.Ask(fapwstest.Get("/")).Want(t, 200).Is(t, "two")
}
