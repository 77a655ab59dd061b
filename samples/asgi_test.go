package samples

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

const asJSON = "application/json"

func TestStarletteSampleServesNotesStreamsAndWebSockets(t *testing.T) {
	t.Parallel()
	fapwstest.NeedModule(t, "starlette")
	s := start(t, "starlette/app.py")
	s.Stdout.Await(t, regexp.MustCompile(`lifespan: started`))
	s.get("/").want(200, "<h1>Starlette")

	s.post("/notes", asJSON, strings.NewReader(`{"text": "Buy milk ☕"}`)).want(201, `"number":1`)
	s.post("/notes", asJSON, unknownLength{strings.NewReader(`{"text": "` + strings.Repeat("x", 300_000) + `"}`)}).
		want(201, `"number":2`)
	resp := s.get("/notes").want(200)
	var got struct{ Notes []string }
	err := json.Unmarshal([]byte(resp.body), &got)
	fapwstest.Truef(t, err == nil && len(got.Notes) == 2 && got.Notes[0] == "Buy milk ☕" && len(got.Notes[1]) == 1000,
		"%v %.200s", err, resp.body)
	for _, wrong := range []string{"", "{", "[]", "3", `{"txt": "x"}`, strings.Repeat("[", 100_000)} {
		s.post("/notes", asJSON, strings.NewReader(wrong)).want(400, `a "text" is needed`)
	}
	s.do(s.request("DELETE", "/notes", nil)).want(405)
	s.get("/nothing").want(404)
	s.do(s.request("HEAD", "/notes", nil)).want(200)

	s.get("/countdown?from=0").want(200, "Lift-off\n")
	s.Stdout.Await(t, regexp.MustCompile(`countdown: over`))
	s.get("/countdown?from=x").want(400)
	s.firstLines("/countdown?from=3600", "3600").Body.Close() // the client disconnects, so the generator ends at once
	s.Stdout.Await(t, regexp.MustCompile(`countdown: over(?s:.*)countdown: over`))
	s.fails("/fails", "RuntimeError: this view always fails")
	s.starletteEcho(t)
	s.Stop()
	s.Stdout.Await(t, regexp.MustCompile(`lifespan: over`))
}

func (s *server) starletteEcho(t *testing.T) {
	w := s.talk("/echo")
	for _, text := range []string{"", "x", "ü☕", strings.Repeat("long ", 50_000)} {
		w.send(text)
		fapwstest.Equal(t, w.next(), text)
	}
	w.leave(4321)
	s.Stdout.Await(t, regexp.MustCompile(`echo: over, 4321`))

	w = s.talk("/echo")
	w.Conn.Close()
	s.Stdout.Await(t, regexp.MustCompile(`echo: over, 100[0-9]`))
	fapwstest.Equal(t, s.denial("/nothing"), 403)
}

func TestFastAPISampleManagesTasks(t *testing.T) {
	t.Parallel()
	fapwstest.NeedModule(t, "fastapi")
	s := start(t, "fastapi/app.py")
	for _, c := range []struct {
		method, path, body string
		status             int
		texts              []string
	}{
		{"GET", "/docs", "", 200, []string{"Made of <a href=openapi.json>"}},
		{"GET", "/openapi.json", "", 200, []string{`"title":"Tasks"`, `"/tasks/{number}/done"`,
			`"HTTPValidationError"`}},
		{"GET", "/tasks", "", 200, []string{"[]"}},
		{"POST", "/tasks", `{"title": "Learn FastAPI ☕", "due": "2030-01-31"}`, 201,
			[]string{`{"title":"Learn FastAPI ☕","due":"2030-01-31","tags":[],"id":1,"done":false}`}},
		{"POST", "/tasks", `{"title": "Rest", "tags": ["a", "b"]}`, 201,
			[]string{`"due":null,"tags":["a","b"],"id":2`}},
		{"POST", "/tasks", `{"title": "", "due": "soon"}`, 422,
			[]string{`"loc":["body","title"]`, `"loc":["body","due"]`}},
		{"POST", "/tasks", `{"title": `, 422, []string{`"loc":["body",10]`}},
		{"POST", "/tasks", ``, 422, []string{`ield required`}}, // pydantic 2 begins the text with a capital
		{"GET", "/tasks?limit=1", "", 200, []string{`"id":1`}},
		{"GET", "/tasks?limit=0", "", 422, []string{`"loc":["query","limit"]`}},
		{"GET", "/tasks/x", "", 422, []string{`"loc":["path","number"]`}},
		{"GET", "/tasks/3", "", 404, []string{`{"detail":"there is no task 3"}`}},
		{"POST", "/tasks/1/done", "", 200, []string{`"id":1,"done":true`}},
		{"GET", "/tasks?done=true", "", 200, []string{`Learn FastAPI`}},
		{"GET", "/tasks?done=false", "", 200, []string{`[{"title":"Rest"`}},
		{"DELETE", "/tasks/1", "", 204, nil},
		{"DELETE", "/tasks/1", "", 404, nil},
		{"PUT", "/tasks", "", 405, nil},
	} {
		req := s.request(c.method, c.path, strings.NewReader(c.body))
		if c.body != "" {
			req.Header.Set("Content-Type", asJSON)
		}
		s.do(req).want(c.status, c.texts...)
	}
	s.Stdout.Await(t, regexp.MustCompile(`done: Learn FastAPI ☕`)) // the task runs in the background
	s.fails("/fails", "RuntimeError: this operation always fails")
}
