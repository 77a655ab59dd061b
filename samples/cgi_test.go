package samples

import "testing"

func TestCGI(t *testing.T) {
	t.Parallel()
	s := start(t, "cgi/programs.py")
	resp, body := s.get("/")
	s.want(resp, body, 200, `href="/cgi-bin/hello?name=world"`)
	resp, body = s.get("/cgi-bin/hello?name=world")
	s.want(resp, body, 200, "hello world, this is /cgi-bin/hello")
	resp, body = s.get("/private/hello")
	s.want(resp, body, 401, "who are you?")
	resp, body = s.get("/private/hello", "Authorization", "Basic YW5uYTpzZWNyZXQ=")
	s.want(resp, body, 200, "hello nobody, this is /private/hello")
	resp, body = s.get("/cgi-bin/nothing")
	s.want(resp, body, 404)
}
