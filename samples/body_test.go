package samples

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"strings"
	"testing"
)

// Every framework reads a body in chunks as it reads one with a length, short
// or so long that it was put into a file.
func TestChunkedBodies(t *testing.T) {
	t.Parallel()
	for _, module := range []string{"flask", "django", "pyramid", "bottle", "falcon"} {
		t.Run(module, func(t *testing.T) {
			withFramework(t, module, "testdata/echo/echo_"+module+".py", func(t *testing.T, s *server) {
				for _, size := range []int{10, 600_000} {
					form, formType := uploadOf(t, size)
					list := fmt.Sprintf(`{"list": [%s0]}`, strings.Repeat("0,", size/2))
					for _, c := range []struct{ path, mediaType, body, want string }{
						{"/raw", "application/octet-stream", strings.Repeat("abc", size), fmt.Sprintf("%d bytes, first abc", 3*size)},
						{"/form", formType, form, fmt.Sprintf("a value, file %d", size)},
						{"/json", "application/json", list, fmt.Sprint(size/2 + 1)},
					} {
						for _, chunked := range []bool{false, true} {
							var body io.Reader = strings.NewReader(c.body)
							if chunked {
								body = io.MultiReader(body) // which has no length
							}
							resp, got := s.post(c.path, c.mediaType, body)
							if resp.StatusCode != 200 || got != c.want {
								t.Errorf("%s, chunked %v: %d %.200q, want %q", c.path, chunked, resp.StatusCode, got, c.want)
							}
						}
					}
				}
			})
		})
	}
}

// uploadOf returns a form with a field and a file of a size.
func uploadOf(t *testing.T, size int) (body, mediaType string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	if err := w.WriteField("field", "a value"); err != nil {
		t.Fatal(err)
	}
	file, err := w.CreateFormFile("file", "file.bin")
	if err == nil {
		_, err = file.Write(bytes.Repeat([]byte{0xff}, size))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String(), w.FormDataContentType()
}
