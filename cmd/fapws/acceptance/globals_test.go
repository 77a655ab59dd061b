package acceptance

import "testing"

// A module for any WSGI or ASGI server has globals of its own: a TIMEOUT, a SERVER or
// THREADS = 0 change nothing where they are not beside PATHS.
func TestGlobalsOfOtherApplications(t *testing.T) {
	dir := t.TempDir()
	globals := "TIMEOUT = 1\nTHREADS = 0\nSERVER = 'db.example.org'\nMAX_BODY_SIZE = 1\nDEBUG = 3\nROOT_PATH = '/x'\n"
	wsgi := write(t, dir+"/wsgi_site.py", globals+`
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"%d %d" % (TIMEOUT, len(environ["wsgi.input"].read()))]
`)
	asgi := write(t, dir+"/asgi_site.py", globals+`
async def app(scope, receive, send):
    body = (await receive())["body"]
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"%d %d" % (TIMEOUT, len(body))})
`)
	inModes(t, func(t *testing.T, m mode) {
		for _, script := range []string{wsgi, asgi} {
			s := command{script: script, flags: []string{"--lifespan", "off"}}.serve(t, m)
			s.ask(request("POST", "/", "abc")).want(t, 200).is(t, "1 3")
		}
	})
}
