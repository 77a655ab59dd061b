package samples

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestWSGISampleServesPagesAndDigests(t *testing.T) {
	t.Parallel()
	withFramework(t, "wsgiref", "wsgi/app.py", func(t *testing.T, s *server) {
		s.get("/").want(200, "wsgi.input", "REQUEST_METHOD")
		s.get("/greet?name=Zo%C3%AB+%3Cb%3E").want(200, "Hello Zoë &lt;b&gt;!")
		s.get("/nothing").want(404, "Not found")

		sent := strings.Repeat("\x00\xff\r\n", 100_000)
		want := fmt.Sprintf("%d %x\n", len(sent), sha256.Sum256([]byte(sent)))
		s.post("/digest", "application/octet-stream", strings.NewReader(sent)).want(200, want)
		s.post("/digest", "application/octet-stream", unknownLength{strings.NewReader(sent)}).want(200, want)

		source, err := os.ReadFile(filepath.Join(s.folder, "app.py"))
		if err != nil {
			t.Fatal(err)
		}
		resp := s.get("/source").want(200)
		if resp.body != string(source) {
			t.Errorf("%d bytes, want %d", len(resp.body), len(source))
		}

		in := s.firstLines("/count", "1", "2")
		in.Body.Close()
		s.Stdout.Await(t, regexp.MustCompile(`counted to \d+`))

		s.fails("/fails", "RuntimeError: this handler always fails")
	})
}
