package samples

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"strings"
	"testing"
)

// Handlers read chunked bodies like bodies with a Content-Length. The server stores long bodies in a file.
func TestChunkedBodiesAreReadByEveryFramework(t *testing.T) {
	t.Parallel()
	for _, module := range []string{"flask", "django", "pyramid", "bottle", "falcon"} {
		t.Run(module, func(t *testing.T) {
			withFramework(t, module, "testdata/echo/echo_"+module+".py", func(t *testing.T, s *server) {
				for _, size := range []int{10, 600_000} {
					form, formType := formWith(formFile{"file.bin", bytes.Repeat([]byte{0xff}, size)})
					list := fmt.Sprintf(`{"list": [%s0]}`, strings.Repeat("0,", size/2))
					for _, c := range []struct{ path, mediaType, body, want string }{
						{"/raw", "application/octet-stream", strings.Repeat("abc", size),
							fmt.Sprintf("%d bytes, first abc", 3*size)},
						{"/form", formType, form, fmt.Sprintf("a value, file %d", size)},
						{"/json", "application/json", list, fmt.Sprint(size/2 + 1)},
					} {
						for _, chunked := range []bool{false, true} {
							var body io.Reader = strings.NewReader(c.body)
							if chunked {
								body = io.MultiReader(body)
							}
							if resp := s.post(c.path, c.mediaType, body); resp.StatusCode != 200 ||
								resp.body != c.want {
								t.Errorf("%s, chunked %v: %d %.200q, want %q", c.path, chunked, resp.StatusCode,
									resp.body, c.want)
							}
						}
					}
				}
			})
		})
	}
}

type formFile struct {
	name string
	data []byte
}

func formWith(files ...formFile) (body, mediaType string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	_ = w.WriteField("field", "a value")
	for _, f := range files {
		part, _ := w.CreateFormFile("file", f.name)
		_, _ = part.Write(f.data)
	}
	_ = w.Close()
	return b.String(), w.FormDataContentType()
}
