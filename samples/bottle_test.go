package samples

import (
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestBottleSampleServesPagesAndUploads(t *testing.T) {
	t.Parallel()
	withFramework(t, "bottle", "bottle/app.py", func(t *testing.T, s *server) {
		s.get("/").want(200, "Nothing is here yet.")
		s.get("/hello/Zo%C3%AB%20%3Cb%3E").want(200, "Hello Zoë <b>!").field("Content-Type",
			"text/plain; charset=utf-8")
		s.get("/power/2/10").want(200, `{"power": 1024}`)
		s.get("/power/2/x").want(404, "There is nothing at /power/2/x.")

		data := noise(1 << 20)
		for _, name := range []string{"noise.bin", "../../<up>.bin"} {
			fapwstest.Equal(t, s.upload("/upload", name, data).want(303).location(), "/")
		}
		s.get("/").want(200, "noise.bin</a>, 1048576 bytes", "up.bin</a>, 1048576 bytes")
		resp := s.get("/files/noise.bin").want(200)
		fapwstest.Equal(t, resp.body, string(data))
		resp.field("Content-Disposition", `attachment; filename="noise.bin"`)
		for _, path := range []string{"/files/..%2fapp.py", "/files/nothing"} {
			resp := s.get(path)
			fapwstest.Truef(t, resp.StatusCode == 403 || resp.StatusCode == 404, "%s: status %d", path, resp.StatusCode)
		}
		s.post("/upload", urlencoded, strings.NewReader("x=y")).want(400, "No file was sent.")
		s.fails("/fails", "RuntimeError: this handler always fails")
	})
}
