package samples

import "testing"

func TestCGISampleRunsPrograms(t *testing.T) {
	t.Parallel()
	s := start(t, "cgi/programs.py")
	s.get("/").want(200, `href="/cgi-bin/hello?name=world"`)
	s.get("/cgi-bin/hello?name=world").want(200, "hello world, this is /cgi-bin/hello")
	s.get("/private/hello").want(401, "who are you?")
	s.get("/private/hello", "Authorization", "Basic YW5uYTpzZWNyZXQ=").want(200, "hello nobody, this is /private/hello")
	s.get("/cgi-bin/nothing").want(404)
}
