package samples

import (
	"crypto/sha256"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestFlaskSampleServesSessionsUploadsAndStreams(t *testing.T) {
	t.Parallel()
	withFramework(t, "flask", "flask/app.py", func(t *testing.T, s *server) {
		s.flaskSession(t)
		s.flaskUpload()
		s.flaskStream()
		s.flaskBlueprint()
		s.get("/nothing/<b>").want(404, "There is nothing at /nothing/&lt;b&gt;.")
		resp := s.do(s.request("DELETE", "/greet", nil)).want(405)
		fapwstest.Has(t, resp.Header.Get("Allow"), "POST")
		s.fails("/api/divide/1/0", "ZeroDivisionError")
	})
}

func (s *server) flaskSession(t *testing.T) {
	s.get("/").want(200, "Hello stranger.")
	greet := func(name string) {
		t.Helper()
		form := strings.NewReader(url.Values{"name": {name}}.Encode())
		fapwstest.Equalf(t, s.post("/greet", urlencoded, form).want(302).location(), "/", "sent to")
	}
	for i, times := range []string{"1 time.", "2 times.", "3 times."} {
		name := fmt.Sprintf("Zoë <%d>", i)
		greet(name)
		s.get("/").want(200, fmt.Sprintf("Hello Zoë &lt;%d&gt;, you have told your name %s", i, times))
	}
	greet(" ") // Flask shows a flashed message only once.
	s.get("/").want(200, "A name has at least one letter.")
	s.get("/").want(200, "Hello Zoë").lacks("at least one letter")
	s.post("/forget", urlencoded, nil).want(302)
	s.get("/").want(200, "Hello stranger.")
	s.post("/greet", urlencoded, strings.NewReader("other=x")).want(400)
}

func (s *server) flaskUpload() {
	data := noise(5 << 20)
	s.upload("/upload", "big.bin", data).want(200, "big.bin has 5242880 bytes.", fmt.Sprintf("%x", sha256.Sum256(data)))
	s.post("/upload", urlencoded, strings.NewReader("file=x")).want(400, "No file was sent.")
	// The file and the form around it exceed Flask's limit for requests.
	s.upload("/upload", "bigger.bin", make([]byte, 8<<20)).want(413)
}

func (s *server) flaskStream() {
	s.firstLines("/stream", "Hello stranger", "1", "2").Body.Close()
	resp := s.get("/static/style.css").want(200, "color-scheme")
	s.get("/static/style.css", "If-None-Match", resp.Header.Get("Etag")).want(304)
}

func (s *server) flaskBlueprint() {
	s.get("/api/add/40/2").want(200, `"sum":42`)
	for _, c := range []struct {
		contentType, body string
		status            int
		text              string
	}{
		{"application/json", `{"text": "stressed ☕"}`, 200, `"reversed":"\u2615 desserts"`},
		{"application/json", `{"text": `, 400, `"error":"Bad Request"`},
	} {
		s.post("/api/reverse", c.contentType, strings.NewReader(c.body)).want(c.status, c.text)
	}
}
