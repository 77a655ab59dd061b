package samples

import (
	"strings"
	"testing"
)

func TestBottle(t *testing.T) {
	t.Parallel()
	withFramework(t, "bottle", "bottle/app.py", func(t *testing.T, s *server) {
		resp, body := s.get("/")
		s.want(resp, body, 200, "Nothing is here yet.")
		resp, body = s.get("/hello/Zo%C3%AB%20%3Cb%3E")
		s.want(resp, body, 200)
		if body != "Hello Zoë <b>!" || resp.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
			t.Errorf("%q as %q", body, resp.Header.Get("Content-Type"))
		}
		resp, body = s.get("/power/2/10")
		s.want(resp, body, 200, `{"power": 1024}`)
		resp, body = s.get("/power/2/x")
		s.want(resp, body, 404, "There is nothing at /power/2/x.")

		data := noise(1 << 20)
		for _, name := range []string{"noise.bin", "../../<up>.bin"} {
			resp, body = s.upload("/upload", name, data)
			s.want(resp, body, 303)
			if to := s.location(resp); to != "/" {
				t.Errorf("sent to %s", to)
			}
		}
		resp, body = s.get("/")
		s.want(resp, body, 200, "noise.bin</a>, 1048576 bytes", "up.bin</a>, 1048576 bytes")
		resp, body = s.get("/files/noise.bin")
		s.want(resp, body, 200)
		if body != string(data) {
			t.Error("other bytes came back")
		}
		if got := resp.Header.Get("Content-Disposition"); got != `attachment; filename="noise.bin"` {
			t.Errorf("Content-Disposition %q", got)
		}
		modified := resp.Header.Get("Last-Modified")
		resp, body = s.get("/files/noise.bin", "Range", "bytes=1000-1999")
		s.want(resp, body, 206)
		if body != string(data[1000:2000]) {
			t.Errorf("range: %d other bytes", len(body))
		}
		resp, body = s.get("/files/noise.bin", "If-Modified-Since", modified)
		s.want(resp, body, 304)
		resp, _ = s.do(s.request("HEAD", "/files/noise.bin", nil))
		if resp.StatusCode != 200 || resp.ContentLength != int64(len(data)) {
			t.Errorf("HEAD: status %d, %d bytes announced", resp.StatusCode, resp.ContentLength)
		}
		for _, path := range []string{"/files/..%2fapp.py", "/files/nothing"} {
			if resp, _ := s.get(path); resp.StatusCode != 403 && resp.StatusCode != 404 {
				t.Errorf("%s: status %d", path, resp.StatusCode)
			}
		}
		resp, body = s.post("/upload", urlencoded, strings.NewReader("x=y"))
		s.want(resp, body, 400, "No file was sent.")
		s.fails("/fails", "RuntimeError: this handler always fails")
	})
}
