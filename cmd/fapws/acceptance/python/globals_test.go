package python_test

import (
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// The global variables TIMEOUT, SERVER and THREADS are settings only if the module also has PATHS.
func TestGlobalsOfWSGIAndASGIModulesAreNotSettings(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	globals := "TIMEOUT = 1\nTHREADS = 0\nSERVER = 'db.example.org'\nMAX_BODY_SIZE = 1\nDEBUG = 3\nROOT_PATH = '/x'\n"
	wsgi := fapwstest.Write(t, dir+"/wsgi_site.py", globals+`
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"%d %d" % (TIMEOUT, len(environ["wsgi.input"].read()))]
`)
	asgi := fapwstest.Write(t, dir+"/asgi_site.py", globals+`
async def app(scope, receive, send):
    body = (await receive())["body"]
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"%d %d" % (TIMEOUT, len(body))})
`)
	for _, script := range []string{wsgi, asgi} {
		s := fapwstest.Command{Script: script, Flags: []string{"--lifespan", "off"}}.Serve(t, fapwstest.Threads)
		s.Ask(fapwstest.Request("POST", "/", "abc")).Want(t, 200).Is(t, "1 3")
	}
}
