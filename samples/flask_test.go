package samples

import (
	"crypto/sha256"
	"fmt"
	"net/url"
	"strings"
	"testing"
)

func TestFlask(t *testing.T) {
	t.Parallel()
	withFramework(t, "flask", "flask/app.py", func(t *testing.T, s *server) {
		s.run("session", s.flaskSession)
		s.run("upload", s.flaskUpload)
		s.run("stream", s.flaskStream)
		s.run("blueprint", s.flaskBlueprint)
		s.run("errors", func(t *testing.T) {
			resp, body := s.get("/nothing/<b>")
			s.want(resp, body, 404, "There is nothing at /nothing/&lt;b&gt;.")
			resp, body = s.do(s.request("DELETE", "/greet", nil))
			s.want(resp, body, 405)
			if allow := resp.Header.Get("Allow"); !strings.Contains(allow, "POST") {
				t.Errorf("Allow: %q", allow)
			}
			s.fails("/api/divide/1/0", "ZeroDivisionError")
		})
	})
}

// The session is in a cookie that the client brings back.
func (s *server) flaskSession(t *testing.T) {
	resp, body := s.get("/")
	s.want(resp, body, 200, "Hello stranger.")
	greet := func(name string) {
		t.Helper()
		resp, body := s.post("/greet", urlencoded, strings.NewReader(url.Values{"name": {name}}.Encode()))
		s.want(resp, body, 302)
		if to := s.location(resp); to != "/" {
			t.Errorf("sent to %s", to)
		}
	}
	for i, times := range []string{"1 time.", "2 times.", "3 times."} {
		name := fmt.Sprintf("Zoë <%d>", i)
		greet(name)
		resp, body = s.get("/")
		s.want(resp, body, 200, fmt.Sprintf("Hello Zoë &lt;%d&gt;, you have told your name %s", i, times))
	}
	greet(" ") // a message that is flashed is seen once
	resp, body = s.get("/")
	s.want(resp, body, 200, "A name has at least one letter.")
	resp, body = s.get("/")
	s.want(resp, body, 200, "Hello Zoë")
	if strings.Contains(body, "at least one letter") {
		t.Error("the message is there again")
	}
	resp, body = s.post("/forget", urlencoded, nil)
	s.want(resp, body, 302)
	resp, body = s.get("/")
	s.want(resp, body, 200, "Hello stranger.")
	resp, body = s.post("/greet", urlencoded, strings.NewReader("other=x"))
	s.want(resp, body, 400)
}

func (s *server) flaskUpload(t *testing.T) {
	data := noise(5 << 20)
	resp, body := s.upload("/upload", "big.bin", data)
	s.want(resp, body, 200, "big.bin has 5242880 bytes.", fmt.Sprintf("%x", sha256.Sum256(data)))
	resp, body = s.post("/upload", urlencoded, strings.NewReader("file=x"))
	s.want(resp, body, 400, "No file was sent.")
	resp, body = s.upload("/upload", "bigger.bin", make([]byte, 8<<20)) // with the form around it, over Flask's limit
	s.want(resp, body, 413)
}

func (s *server) flaskStream(t *testing.T) {
	s.firstLines("/stream", "Hello stranger", "1", "2").Body.Close()
	resp, body := s.get("/static/style.css")
	s.want(resp, body, 200, "color-scheme")
	resp, body = s.get("/static/style.css", "If-None-Match", resp.Header.Get("Etag"))
	s.want(resp, body, 304)
	resp, body = s.get("/static/style.css", "Range", "bytes=0-4")
	s.want(resp, body, 206)
	if body != ":root" {
		t.Errorf("range: %q", body)
	}
	resp, body = s.get("/static/../app.py")
	s.want(resp, body, 404)
}

func (s *server) flaskBlueprint(t *testing.T) {
	resp, body := s.get("/api/add/40/2")
	s.want(resp, body, 200, `"sum":42`)
	for _, c := range []struct {
		contentType, body string
		status            int
		text              string
	}{
		{"application/json", `{"text": "stressed ☕"}`, 200, `"reversed":"\u2615 desserts"`},
		{"application/json", `{"text": `, 400, `"error":"Bad Request"`},
	} {
		resp, body := s.post("/api/reverse", c.contentType, strings.NewReader(c.body))
		s.want(resp, body, c.status, c.text)
	}
}

// Flask names its static files and leaves the sending to the server, which has
// to be allowed to send from that folder.
func TestFlaskSendfile(t *testing.T) {
	t.Setenv("FLASK_USE_X_SENDFILE", "true")
	withFramework(t, "flask", "flask/app.py", func(t *testing.T, s *server) {
		resp, whole := s.get("/static/style.css")
		s.want(resp, whole, 200, "color-scheme")
		if path := resp.Header.Get("X-Sendfile"); path != "" {
			t.Errorf("the client learns that the file is %s", path)
		}
		if got := resp.Header.Get("Content-Type"); got != "text/css; charset=utf-8" {
			t.Errorf("Content-Type %q", got)
		}
		resp, body := s.get("/static/style.css", "If-None-Match", resp.Header.Get("Etag"))
		s.want(resp, body, 304)
		resp, body = s.get("/static/style.css", "Range", "bytes=1-4")
		s.want(resp, body, 206)
		if body != whole[1:5] {
			t.Errorf("range: %q, want %q", body, whole[1:5])
		}
		resp, _ = s.do(s.request("HEAD", "/static/style.css", nil))
		if resp.StatusCode != 200 || resp.ContentLength != int64(len(whole)) {
			t.Errorf("HEAD: status %d, %d bytes announced", resp.StatusCode, resp.ContentLength)
		}
		resp, body = s.get("/static/nothing.css")
		s.want(resp, body, 404, "There is nothing at")
	}, "--x-sendfile", "FOLDER/static")
}
